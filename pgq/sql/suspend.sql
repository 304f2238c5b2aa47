-- suspend(worker_id, job_ids, attempts, names): puts off jobs that the worker holds and whose handlers sleep or wait for a signal
-- (await_step), each until the step of this name is over; without a slot, and the attempts do not count. A job whose signal has come
-- meanwhile is ready at once. Jobs with a time to live were started and do not expire any more. Raises PQ001 for arrays that are not
-- of one length. Returns as fail does.
--
-- No wake-up is lost between the handler's look (await_step) and this: send_signal and suspend hold the job's lock signal/<id>,
-- each until its transaction ends, and look after they have got it, in a statement, and so with a snapshot, of its own.
-- * The sender had the lock first and has committed: the step is over here, and the job gets ready.
-- * suspend had it first: the sender waits, then finds the job in scheduled and makes it ready.
-- * The sender has it now: it has looked for the job in scheduled, in vain, or is about to, so it cannot be relied upon. It is not
--   waited for, because its transaction may be a long one: the job is looked at again in 200 ms, when its handler gets to the step anew.
-- The same holds for a job that gets to scheduled in another way: its handler looks when it runs again.
-- Locks: signal/<id> of those that wait for a signal, tried; then rows of running in the order of their ids, jobs and expiries of those with a time to live.
-- roles: worker
create function suspend(worker_id bigint, job_ids bigint[], attempts integer[], names text[])
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    free boolean[];
    delays interval[];
    held bigint[];
begin
    perform check_parallel('{job_ids,attempts,names}', array[array_dims(job_ids), array_dims(attempts), array_dims(names)]);
    free := array(
        select s.type is distinct from 'signal' or pg_try_advisory_xact_lock(advisory_key('signal/' || u.id))
        from unnest(job_ids, names) with ordinality u(id, name, place)
        left join lateral (select * from steps where steps.job_id = u.id and steps.name = u.name offset 0) s on true
        order by u.place);
    delays := array(
        select case
            when not free[u.place] then interval '200 ms'
            when s.done_at is not null then interval '0'
            when s.wake_at is not null then greatest(interval '0', s.wake_at - clock_timestamp())
            when s.job_id is not null then interval '100 years'
            else interval '0' end
        from unnest(job_ids, names) with ordinality u(id, name, place)
        left join lateral (select * from steps where steps.job_id = u.id and steps.name = u.name offset 0) s on true
        order by u.place);
    held := array(
        select r.job_id
        from unnest(job_ids, attempts) u(id, attempt)
        cross join lateral (
            select * from running where running.job_id = u.id and running.attempt = u.attempt and running.worker_id = suspend.worker_id
            offset 0) r
        order by r.job_id);
    return query
        select e.job_id, e.outcome
        from end_attempts(suspend.worker_id, job_ids, attempts, array_fill('snooze'::text, array[coalesce(cardinality(job_ids), 0)]), delays, null,
                          array(select jsonb_build_object('step', name) from unnest(names) with ordinality n(name, place) order by place)) e;
    -- By id, since expiries is found by its time.
    held := array(select j.id from jobs j where j.id = any(held) and j.expires_at is not null order by j.id);
    if held <> '{}' then
        delete from expiries where ctid = any(array(
            select e.tid from jobs j
            cross join lateral (
                select x.ctid as tid from expiries x where x.expires_at = j.expires_at and x.job_id = j.id offset 0) e
            where j.id = any(held)));
        update jobs set expires_at = null where id = any(held);
    end if;
end
$$;
comment on function suspend is 'Puts jobs off until what their handlers wait for.';
