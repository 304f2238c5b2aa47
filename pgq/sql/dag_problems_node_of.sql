-- dag_problems_node_of(entry): the node that an entry of "after" names: "a" or {"node": "a"}; null when it names none.
-- Internal, inlined.
create function dag_problems_node_of(entry jsonb) returns text
language sql immutable
as $$
    select case jsonb_typeof(entry)
        when 'string' then entry #>> '{}'
        when 'object' then case when jsonb_typeof(entry -> 'node') = 'string' then entry ->> 'node' end
    end
$$;
comment on function dag_problems_node_of is 'Node that an entry of "after" names.';
