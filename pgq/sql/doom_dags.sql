-- doom_dags(job_ids): lets the chores cancel what is left of DAGs with on_failure "cancel" in which one of these jobs has
-- failed, unless a node may still make up for that failure. Internal.
create function doom_dags(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    doomed bigint[];
begin
    select array_agg(distinct f.dag_id) into doomed
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
                 or coalesce(c.role, '') not in ('dag', 'map') and coalesce(c.rule, 'all') in ('all', 'none_failed', 'join', 'none_skipped')));
    if doomed is not null then
        insert into expiries (expires_at, job_id) select now(), id from unnest(doomed) id on conflict do nothing;
        perform wake_chores();
    end if;
end
$$;
comment on function doom_dags is 'Lets the chores cancel what is left of DAGs that fail fast.';
