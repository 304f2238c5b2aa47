-- fail_dag(dag_id): ends a DAG with on_failure "cancel" in which a node has failed: what has not ended is cancelled, but for
-- nodes that clean up or compensate (rules done, one_failed, all_failed and none_skipped) and what follows them. Does nothing if the node that
-- failed runs again. Internal: expire_dags.
create function fail_dag(dag_id bigint) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    cause text;
begin
    if not exists (
        select from doomed_dags(array(
            select f.job_id from jobs j join results f on f.job_id = j.id
            where j.dag_id = fail_dag.dag_id and f.state <> 'completed'))) then
        return;
    end if;
    select format('%s %s', j.name, f.state) into cause
    from jobs j join results f on f.job_id = j.id
    where j.dag_id = fail_dag.dag_id and f.state in ('failed', 'expired', 'cancelled')
    order by f.finished_at limit 1;
    update waiting set ending = 'failed', reason = coalesce(cause, 'failed') || ' (on_failure: cancel)'
    where job_id = fail_dag.dag_id and ending is null;
    perform cancel_all(array(
        with recursive spared as (
            select j.id from jobs j where j.dag_id = fail_dag.dag_id and j.rule in ('done', 'one_failed', 'all_failed', 'none_skipped')
            union
            select e.child_id from spared s join edges e on e.parent_id = s.id
        )
        select j.id
        from jobs j
        where j.dag_id = fail_dag.dag_id
          and coalesce(j.role, '') not in ('dag', 'gate')
          and j.id not in (select id from spared)
          and not exists (select from results f where f.job_id = j.id)), coalesce(cause, 'failed') || ' (on_failure: cancel)');
end
$$;
comment on function fail_dag is 'Ends a DAG that fails fast.';
