-- dag_problems_options(node, other_fields): what nodes have in common with many others: all fields but the given ones; args,
-- payload and metadata, of which only the types matter, have stand-ins or are left out, too. Internal, inlined: dag_problems.
-- A large DAG has few such sets of options, and each is looked at once (dag_problems_values).
create function dag_problems_options(node jsonb, other_fields text[]) returns jsonb
language sql stable
as $$
    select case
        when node ?| '{metadata,payload}' or node ->> 'type' <> 'job' then node - other_fields || jsonb_strip_nulls(jsonb_build_object(
            'args', case jsonb_typeof(node -> 'args') when 'object' then '{}' when 'null' then null else nullif(node ? 'args', false)::text::jsonb end,
            'metadata', case jsonb_typeof(node -> 'metadata') when 'object' then '{}' else node -> 'metadata' end,
            'payload', case jsonb_typeof(node -> 'payload') when 'string' then '""' else node -> 'payload' end))
        else node - other_fields
    end
$$;
comment on function dag_problems_options is 'What a node has in common with many others.';
