-- dag_problems_options(node, other_fields): what nodes have in common with many others: all fields but the given ones, args,
-- payload and metadata among them. Of these only the types matter, and they only when something may be wrong with them; then
-- there are stand-ins. Internal, inlined: dag_problems.
-- A large DAG has few such sets of options, and each is looked at once (dag_problems_values).
create function dag_problems_options(node jsonb, other_fields text[]) returns jsonb
language sql stable
as $$
    select case
        when node ? 'payload' or jsonb_typeof(node -> 'metadata') <> 'object' or node ->> 'type' <> 'job' and node ? 'args'
            then node - other_fields || jsonb_strip_nulls(jsonb_build_object(
                'args', case when jsonb_typeof(node -> 'args') = 'object' then '{}' when jsonb_typeof(node -> 'args') <> 'null' then 'true'::jsonb end,
                'metadata', case jsonb_typeof(node -> 'metadata') when 'object' then '{}' else node -> 'metadata' end,
                'payload', case jsonb_typeof(node -> 'payload') when 'string' then '""' else node -> 'payload' end))
        else node - other_fields
    end
$$;
comment on function dag_problems_options is 'What a node has in common with many others.';
