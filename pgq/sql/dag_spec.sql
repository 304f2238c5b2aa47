-- dag_spec(type, node, queue, priority): what jobs.spec keeps of a node's JSON: what its role needs later; of a map also the
-- job that its items will be. Null when there is nothing. Internal.
create function dag_spec(type text, node jsonb, queue text, priority integer) returns jsonb
language plpgsql immutable
as $$
declare
    common constant text[] := '{name,type,after,before,rule,at_least}';
begin
    if type = 'job' then
        return jsonb_strip_nulls(jsonb_build_object('at_least', node -> 'at_least', 'delay', node -> 'delay'))
            || case when jsonb_typeof(node -> 'callbacks') = 'object' then jsonb_build_object('callbacks', node -> 'callbacks') else '{}' end;
    elsif type = 'map' then
        return jsonb_strip_nulls(jsonb_build_object(
                   'over', node -> 'over', 'path', coalesce(node ->> 'path', '$[*]'), 'as', node -> 'as', 'window', node -> 'window',
                   'tolerate', node -> 'tolerate', 'at_least', node -> 'at_least'))
            || jsonb_build_object('item', node - common - '{over,path,as,window,tolerate}'::text[]
                                          || jsonb_build_object('queue', queue, 'priority', priority));
    end if;
    return node - '{name,type,after,before,rule,queue,priority,tags,metadata}'::text[];
end
$$;
comment on function dag_spec is 'What jobs.spec keeps of a node''s JSON.';
