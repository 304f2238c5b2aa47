-- prune_finished(older_than, ...): deletes jobs that ended longer ago than older_than, whatever their queue says of how long they are
-- kept; DAGs with all their nodes, but none that has stopped its sequence. Filters, null for any: queues, states. It goes along the ids from after on, looks at 20 times
-- at_most of them at most, and deletes at_most at most; dry: only counts. Returns how many jobs were deleted (nodes are not
-- counted), where to go on, null: that was all, and which ones. Writes an event "operated", as change_jobs does: actor is who does it, the session's user by
-- default. Locks: rows of results, skipping those that others have locked.
-- roles: operator
create function prune_finished(
    older_than interval, queues text[] default null, states text[] default null, after bigint default 0, at_most integer default 1000,
    dry boolean default false, reason text default null, actor text default null,
    out deleted integer, out next_after bigint, out job_ids bigint[])
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    due bigint[];
begin
    if older_than is null or older_than not between interval '0' and interval '1000 years' then
        perform invalid('older_than', 'must be 0 to 1000 years');
    elsif at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    elsif exists (select from unnest(states) s where s is null or s not in ('completed', 'failed', 'cancelled', 'skipped', 'expired')) then
        perform invalid('states', 'must be completed, failed, cancelled, skipped or expired');
    end if;
    with looked_at as materialized (
        select f.job_id, f.finished_at, f.queue, f.state, f.dag_id from results f where f.job_id > after order by f.job_id limit at_most * 20
    ), fit as (
        select l.job_id from looked_at l
        where l.dag_id is null and not exists (select from sequences s where s.job_id = l.job_id offset 0) and l.finished_at < now() - older_than
          and (queues is null or l.queue = any(queues)) and (states is null or l.state = any(states))
        order by l.job_id limit at_most
    )
    select coalesce(array_agg(f.job_id), '{}'),
           case when count(*) = at_most then max(f.job_id) when (select count(*) from looked_at) = at_most * 20 then (select max(job_id) from looked_at) end
    into due, next_after
    from fit f;
    deleted := cardinality(due);
    job_ids := due;
    if dry then
        return;
    end if;
    with locked as materialized (
        select ctid as tid from results
        where job_id = any(due) and job_id <> all(untold_jobs()) and not exists (select from sequences s where s.job_id = results.job_id offset 0)
        order by job_id for update skip locked
    ), removed as (
        delete from results f where f.ctid = any(array(select tid from locked)) returning f.job_id
    )
    select coalesce(array_agg(job_id), '{}') into due from removed;
    perform forget(due || forget_members(due));
    deleted := cardinality(due);
    job_ids := array(select id from unnest(due) id order by id);
    if deleted > 0 then
        perform record_operation('operated', case when cardinality(queues) = 1 then queues[1] end, operator_data(reason, actor, jsonb_build_object(
            'verb', 'prune', 'user', session_user, 'filter', jsonb_build_object('older_than', older_than, 'queues', queues, 'states', states),
            'outcomes', jsonb_build_object('deleted', deleted), 'first', job_ids[1], 'last', job_ids[deleted])));
    end if;
end
$$;
comment on function prune_finished is 'Deletes jobs that ended long ago, by hand.';
