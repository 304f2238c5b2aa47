-- doomed_dags(job_ids): the DAGs under way with on_failure "cancel" in which one of these jobs has failed, and no node may still make
-- up for that failure. Internal: doom_dags, and fail_dag, which asks again: the node may have been retried since.
create function doomed_dags(job_ids bigint[]) returns setof bigint
language sql stable
as $$
    select f.dag_id
    from results f
    cross join lateral (select spec from jobs where jobs.id = f.dag_id offset 0) d
    where f.job_id = any(job_ids)
      and f.state in ('failed', 'cancelled', 'expired')
      and f.dag_id is not null
      and d.spec ->> 'on_failure' = 'cancel'
      and exists (select from waiting w where w.job_id = f.dag_id and w.ending is null)
      and exists (
          select from edges e
          join jobs c on c.id = e.child_id
          where e.parent_id = f.job_id
            and not e.soft
            and (c.id = f.dag_id
                 or coalesce(c.role, '') not in ('dag', 'map') and coalesce(c.rule, 'all') in ('all', 'none_failed', 'join')));
$$;
comment on function doomed_dags is 'DAGs that fail fast in which jobs have failed.';
