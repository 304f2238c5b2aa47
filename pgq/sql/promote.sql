-- promote(at_most, since): makes up to at_most scheduled jobs ready whose time has come, soonest first, and wakes
-- workers. It looks from the time since on: do_chores mostly begins a little before where it stopped, so that
-- dead rows that a long transaction elsewhere keeps are not walked each time.
-- Returns how many, and the time of the last one. Locks: rows of scheduled, skipping those that others have locked.
-- roles: worker, operator
create function promote(
    at_most integer default 1000, since timestamptz default '-infinity', out promoted integer, out up_to timestamptz)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    woken text[];
begin
    with due as (
        delete from scheduled
        where ctid = any(array(
            select s.ctid from scheduled s
            where s.run_at <= now() and s.run_at >= since
            order by s.run_at
            limit within('at_most', at_most, 0, 1000000)
            for update skip locked))
        returning job_id, run_at, attempt
    ), added as (
        insert into ready (queue, priority, seq, job_id, attempt, kind, since)
        select j.queue, j.priority, nextval('jobs_id_seq'), j.id, d.attempt, j.kind, now()
        from (select * from due order by run_at, job_id) d
        cross join lateral (select * from jobs where jobs.id = d.job_id offset 0) j
        returning queue
    )
    select (select array_agg(distinct queue) from added), count(*), max(run_at)
    into woken, promoted, up_to
    from due;
    if promoted > 0 then
        perform wake(woken);
    end if;
end
$$;
comment on function promote is 'Makes scheduled jobs ready whose time has come.';
