-- batch_nodes(jobs, first, watched): the nodes that jobs of a batch are, numbered from first on; a batch in it ({"batch": id}) is a node that ends with
-- that one. watched: they come before on_failure, which is there already. Internal: batch_dag and batch_add.
create function batch_nodes(jobs jsonb, first bigint, watched boolean) returns jsonb
language sql immutable
as $$
    select coalesce(jsonb_agg(
        case when e.value ? 'batch'
            then jsonb_build_object('type', 'sleep', 'delay', '0', 'after', jsonb_build_array(jsonb_build_object('job', e.value -> 'batch')))
            else e.value end
        || jsonb_build_object('name', 'jobs/' || first + e.ordinality - 1)
        || case when watched then '{"before": ["on_failure"]}'::jsonb else '{}' end order by e.ordinality), '[]')
    from jsonb_array_elements(jobs) with ordinality e
$$;
comment on function batch_nodes is 'The nodes that jobs of a batch are.';
