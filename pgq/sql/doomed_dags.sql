-- doomed_dags(job_ids): the DAGs under way with on_failure "cancel" that fail for sure because one of these jobs has failed, or was
-- skipped for a failure: whatever else happens, that will show in all nodes on some way from there to the DAG itself.
-- As long as some node may still make up for it the DAG is none of them. Internal: doom_dags, and fail_dag, which asks
-- again: the node may have been retried since.
create function doomed_dags(job_ids bigint[]) returns setof bigint
language sql stable
as $$
    with recursive failed as materialized (
        select f.job_id as id, f.dag_id
        from results f
        where f.job_id = any(job_ids)
          and (f.state in ('failed', 'cancelled', 'expired') or f.state = 'skipped' and f.cause_id is not null)
    ), failing as (
        select f.id, f.dag_id
        from (select distinct dag_id from failed) d
        cross join lateral (select spec from jobs where jobs.id = d.dag_id offset 0) j
        join failed f on f.dag_id = d.dag_id
        where j.spec ->> 'on_failure' = 'cancel'
          and exists (select from waiting w where w.job_id = d.dag_id and w.ending is null offset 0)
        union
        select c.id, f.dag_id
        from failing f
        join edges e on e.parent_id = f.id and not e.soft
        cross join lateral (select id, dag_id, role, rule from jobs where jobs.id = e.child_id offset 0) c
        where coalesce(c.dag_id, c.id) = f.dag_id
          and (c.role = 'dag' or c.rule in ('all', 'none_failed', 'join') and not is_item(f.id, c.id))
          and not exists (select from results r where r.job_id = c.id and r.state = 'completed' offset 0)
    )
    select distinct dag_id from failing where id = dag_id
$$;
comment on function doomed_dags is 'DAGs that fail fast and will have failed.';
