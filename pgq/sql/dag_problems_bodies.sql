-- dag_problems_bodies(nodes, large, dag_queue): which of the given nodes (large) have args that are too large for their queue,
-- or a payload that cannot be read. Internal: dag_problems.
create function dag_problems_bodies(nodes jsonb, large bigint[], dag_queue text) returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    node record;
    bytes bigint;
begin
    for node in
        select l.index, n.value -> 'args' as args, case jsonb_typeof(n.value -> 'payload') when 'string' then n.value ->> 'payload' end as payload,
               s.max_args_bytes
        from unnest(large) l(index)
        cross join lateral (select nodes -> (l.index - 1)::integer as value offset 0) n
        cross join lateral settings_of(
            coalesce(case jsonb_typeof(n.value -> 'queue') when 'string' then n.value ->> 'queue' end, dag_queue, 'default')) s
    loop
        begin
            bytes := coalesce(octet_length(decode(node.payload, 'base64')), pg_column_size(node.args));
        exception when data_exception then
            return query select node.index, 'payload', 'cannot be read as base64';
            continue;
        end;
        if bytes > node.max_args_bytes then
            return query select node.index, 'args', format('must be at most %s bytes', node.max_args_bytes);
        end if;
    end loop;
end
$$;
comment on function dag_problems_bodies is 'Nodes whose args are too large or whose payload cannot be read.';
