-- dag_problems_node_of(entry): the node that an entry of "after" names: "a" or {"node": "a"}; null when it names none.
-- A number is as good as a string. Internal, inlined.
create function dag_problems_node_of(entry jsonb) returns text
language sql immutable
as $$
    select case jsonb_typeof(entry)
        when 'object' then case when jsonb_typeof(entry -> 'node') = 'string' then entry ->> 'node' end
        when 'array' then null
        else entry #>> '{}'
    end
$$;
comment on function dag_problems_node_of is 'Node that an entry of "after" names.';
