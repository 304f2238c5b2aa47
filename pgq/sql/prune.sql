-- prune(at_most, by_hand, reason, actor): deletes up to about at_most finished jobs of each sort that were kept for as long as their queue
-- says (keep_completed ...) or as their result_ttl says, DAGs with all their nodes, subscribers that are past, and events (prune_events).
-- Failed jobs that have stopped their sequence are kept until that goes on. Completed jobs are found by walk_completed, the others by their index. Returns how many jobs were deleted. by_hand: writes an
-- event "operated", with actor, the session's user by default, and reason.
-- roles: worker, operator
create function prune(at_most integer default 1000, by_hand boolean default false, reason text default null, actor text default null) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    due bigint[];
begin
    perform within('at_most', at_most, 0, 1000000);
    due := walk_completed(at_most) || array(
        select f.job_id from results f where f.expires_at <= now() and not exists (select from sequences s where s.job_id = f.job_id offset 0)
        order by f.expires_at limit at_most);
    due := due || array(
        with recursive groups as (
            (select queue, state from results where state <> 'completed' and dag_id is null order by queue, state limit 1)
            union all
            select next.queue, next.state
            from groups g
            cross join lateral (
                select f.queue, f.state from results f
                where f.state <> 'completed' and f.dag_id is null and (f.queue, f.state) > (g.queue, g.state)
                order by f.queue, f.state limit 1) next)
        select old.job_id
        from groups g
        cross join lateral settings_of(g.queue) s
        cross join lateral (
            select f.job_id from results f
            where f.queue = g.queue and f.state = g.state and f.state <> 'completed' and f.expires_at is null and f.dag_id is null
              and f.finished_at < now() - case g.state
                  when 'failed' then s.keep_failed when 'expired' then s.keep_expired else s.keep_cancelled end
              and (f.state <> 'failed' or not exists (select from sequences h where h.job_id = f.job_id offset 0))
            order by f.finished_at limit at_most) old);
    with locked as materialized (
        select ctid as tid from results
        where job_id = any(due) and job_id <> all(untold_jobs())
        order by job_id for update skip locked
    ), removed as (
        delete from results f where f.ctid = any(array(select tid from locked)) returning f.job_id
    )
    select coalesce(array_agg(job_id), '{}') into due from removed;
    perform forget(due || forget_members(due));

    perform prune_keys(at_most);

    perform prune_events(10 * at_most);
    delete from subscribers where alive_until < now() - interval '1 hour';
    if by_hand and due <> '{}' then
        perform record_operation('operated', null, operator_data(reason, actor, jsonb_build_object(
            'verb', 'prune', 'user', session_user, 'outcomes', jsonb_build_object('deleted', cardinality(due)))));
    end if;
    return cardinality(due);
end
$$;
comment on function prune is 'Deletes finished jobs that were kept long enough.';
