-- dag_problems_bodies(nodes, dag_queue): nodes whose args are too large for their queue, or whose payload cannot be read.
-- Internal: dag_problems. Nodes that are small as a whole are not looked into.
create function dag_problems_bodies(nodes jsonb, dag_queue text) returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    smallest constant bigint := (select min(max_args_bytes) from queues);
    node record;
    bytes bigint;
    max_bytes bigint;
begin
    for node in
        select e.index, e.value -> 'args' as args, e.value ->> 'payload' as payload,
               coalesce(case when jsonb_typeof(e.value -> 'queue') = 'string' then e.value ->> 'queue' end, dag_queue, 'default') as queue
        from jsonb_array_elements(nodes) with ordinality e(value, index)
        where jsonb_typeof(e.value) = 'object'
          and (pg_column_size(e.value) > smallest and e.value ? 'args' or jsonb_typeof(e.value -> 'payload') = 'string')
    loop
        begin
            bytes := coalesce(octet_length(decode(node.payload, 'base64')), pg_column_size(node.args));
            if bytes > smallest then
                select s.max_args_bytes into max_bytes from settings_of(node.queue) s;
                if bytes > max_bytes then
                    return query select node.index, 'args', format('must be at most %s bytes', max_bytes);
                end if;
            end if;
        exception when data_exception then
            return query select node.index, 'payload', 'cannot be read as base64';
        end;
    end loop;
end
$$;
comment on function dag_problems_bodies is 'Nodes whose args are too large or whose payload cannot be read.';
