-- batch_dag(spec): the DAG that a batch is (see dag_submit). Internal: batch_submit, which has checked the spec. Its nodes:
--
--   jobs        a sub-DAG; in it are the jobs, "jobs/0", "jobs/1" and so on, and
--   jobs/close  an external node, which is answered when the batch is closed: until then the sub-DAG does not end
--   on_done     comes after jobs, whatever became of them
--   on_success  comes after jobs, if all of them succeeded
--   on_failure  comes after each of the jobs, and runs as soon as one has failed; "close" keeps it from being skipped before
create function batch_dag(spec jsonb) returns jsonb
language sql immutable
as $$
    with members as materialized (
        select batch_nodes(coalesce(nullif(spec -> 'jobs', 'null'), '[]'), 0, false) as nodes
    )
    select jsonb_strip_nulls(jsonb_build_object(
               'name', spec -> 'name', 'key', spec -> 'key', 'queue', spec -> 'queue', 'priority', spec -> 'priority',
               'deadline', spec -> 'deadline', 'result_ttl', spec -> 'result_ttl', 'tags', spec -> 'tags',
               'on_failure', case when (spec ->> 'fail_fast')::boolean then 'cancel' end))
           || jsonb_build_object(
               'metadata', spec -> 'metadata',
               'nodes', '[{"name": "jobs", "type": "dag"}, {"name": "jobs/close", "type": "external"}]' || m.nodes
                        || coalesce(spec -> 'on_done' || '{"name": "on_done", "after": ["jobs"], "rule": "done"}', '[]')
                        || coalesce(spec -> 'on_success' || '{"name": "on_success", "after": ["jobs"]}', '[]')
                        || coalesce(spec -> 'on_failure' || jsonb_build_object(
                               'name', 'on_failure', 'rule', 'one_failed',
                               'after', '["jobs/close"]' || jsonb_path_query_array(m.nodes, '$[*].name')), '[]'))
    from members m
$$;
comment on function batch_dag is 'The DAG that a batch is.';
