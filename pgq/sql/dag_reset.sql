-- dag_reset(job_ids, told): lets nodes that have ended run again, in place: they wait for their parents anew, and so do those of
-- their descendants that were skipped, and the DAG and sub-DAGs they are in. Whatever else has ended stays as it is.
-- Maps among them whose source is reset, too, are expanded anew. Returns the jobs that were reset. told: who does it and why, for the events.
-- Internal: dag_retry, dag_fork and retry, which hold the locks of the chores and of the DAGs.
-- Locks: rows of waiting by job, what pin locks, then rows of results by job.
create function dag_reset(job_ids bigint[], told jsonb default null) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    targets bigint[];
    touched bigint[];
    gone record;
begin
    -- As long as nothing that waits moves, no node is decided and no DAG ends: what is found now still holds below.
    perform w.job_id from waiting w
    where w.job_id = any(array(
        select m.id from jobs j join jobs m on m.dag_id = coalesce(j.dag_id, j.id) where j.id = any(job_ids)
        union select coalesce(j.dag_id, j.id) from jobs j where j.id = any(job_ids)))
    order by w.job_id for no key update;
    perform dag_forget_items(job_ids);
    with recursive reached as (
        select id from unnest(job_ids) id
        union
        select n.id
        from reached r
        cross join lateral (
            select e.child_id as id from edges e where e.parent_id = r.id
            union all
            select s.id from jobs m join jobs s on s.dag_id = m.dag_id and m.role = 'map'
                and s.name >= m.name || '[' and s.name < m.name || '\' where m.id = r.id
            union all
            select o.id from jobs j
            join jobs o on o.role = 'dag' and (o.id = j.dag_id or o.dag_id = j.dag_id and starts_with(j.name, o.name || '/'))
            where j.id = r.id) n
        join jobs j on j.id = n.id
        join results f on f.job_id = n.id
        where (j.dag_id is not null or j.role = 'dag')
          and (f.state = 'skipped' or j.role in ('dag', 'map'))
          and exists (select from jobs o where o.id = r.id and coalesce(o.dag_id, o.id) = coalesce(j.dag_id, j.id))
    )
    select array_agg(r.id order by r.id) into targets from reached r join results f on f.job_id = r.id;
    if targets is null then
        return '{}';
    end if;
    -- A node whose children stay as they are is waited for by its DAG or sub-DAG all the same.
    insert into edges (parent_id, child_id, soft)
    select j.id, sink_of(j.id), true
    from jobs j
    where j.id = any(targets) and j.dag_id is not null
      and not exists (select from edges e where e.parent_id = j.id and e.child_id = any(targets))
    on conflict do nothing;
    touched := array(
        select distinct e.child_id from edges e join waiting w on w.job_id = e.child_id
        where e.parent_id = any(targets) and e.child_id <> all(targets));
    perform w.job_id from waiting w where w.job_id = any(touched) order by w.job_id for no key update;
    perform pin(array(
        select distinct e.parent_id from edges e where e.child_id = any(targets) and e.parent_id <> all(targets)));
    perform f.job_id from results f where f.job_id = any(targets) order by f.job_id for update;
    -- A cancellation that is under way is withdrawn.
    update waiting w set ending = null, reason = null
    where w.ending is not null
      and w.job_id in (select e.child_id from edges e where e.parent_id = any(targets)
                       union select j.dag_id from jobs j where j.id = any(targets));
    perform expand_maps_of(targets);
    delete from frontier where parent_id = any(targets);
    -- What expires at this moment is locked, and looks at expires_at again.
    delete from expiries where ctid = any(array(
        select x.tid from jobs j
        cross join lateral (
            select e.ctid as tid from expiries e where e.expires_at = j.expires_at and e.job_id = j.id
            offset 0 for update skip locked) x
        where j.id = any(targets)));
    with reopened as (
        delete from results f where f.job_id = any(targets) returning f.job_id, f.attempt, f.queue
    ), extended as (
        update jobs j
        set max_attempts = case when j.role is null then greatest(coalesce(j.max_attempts, s.max_attempts), r.attempt + 1) end,
            expires_at = null
        from reopened r, settings_of(r.queue) s
        where j.id = r.job_id
    )
    select array_agg(r.job_id order by r.job_id) as ids, array_agg(r.attempt order by r.job_id) as attempts into gone from reopened r;
    perform rewait(gone.ids, gone.attempts);
    perform recount(touched);
    perform record_event('retry_requested', j.id, j.queue, data => coalesce(told, operator_data(null, null))) from jobs j where j.id = any(gone.ids) and j.role is distinct from 'gate';
    insert into frontier (parent_id, first_child, last_child)
    select m.job_id, m.job_id, m.job_id from maps m where m.job_id = any(gone.ids) and m.expanded < m.total;
    perform judge(gone.ids || touched);
    return gone.ids;
end
$$;
comment on function dag_reset is 'Lets nodes that have ended run again, in place.';
