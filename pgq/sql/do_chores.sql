-- do_chores(): what has to be done now and then by any worker, one at a time: promote, expire, rescue, prune, firing
-- schedules that are due, and telling children of what their parents came to where the verb that finished these left it
-- (propagate_frontier), finding the next ones of sequences (fill_sequences), and jobs that wait for their turn (tend_backlogs,
-- tend_breakers, next_turn).
-- Returns after how many milliseconds to call again: 0 when more is due at once, at most 1000, less when a
-- scheduled job or a schedule is due earlier. Another session at it: 1000. Bounded: batches of 1,000 rows.
-- roles: worker, operator
create function do_chores() returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set lock_timeout = '5s'
as $$
declare
    most constant integer := 1000;
    next_due timestamptz;
    next_turn timestamptz;
    more boolean;
    due_schedules boolean;
begin
    if not pg_try_advisory_xact_lock(advisory_key('chores')) then
        return 1000;
    end if;
    -- In transactions of its own; twice a second the others have their turn.
    due_schedules := exists (select from schedules s where s.fire_at <= now());
    if (due_schedules or exists (select from frontier) or exists (select from sequences s where s.job_id is null)) and not chore_is_due('round', interval '500 ms') then
        if due_schedules and fire_schedules(most) > 0 then
            return 0;
        end if;
        return case when fill_sequences(most) + propagate_frontier() > 0 then 0 else 20 end;
    end if;
    more := promote_due(most) >= most;
    more := expire(most) >= most or more;
    if chore_is_due('rescue', interval '2 s') then
        more := rescue(most) >= most or more;
    end if;
    if chore_is_due('prune', interval '10 s') then
        if greatest(prune(most), prune_events(10 * most) / 10) >= most then
            update chores set last_run_at = '-infinity' where name = 'prune';
            more := true;
        end if;
    end if;
    if exists (select from backlogs) or exists (select from gates) or exists (select from limits)
       or exists (select from waiting w where w.role = 'turn') then
        if chore_is_due('backlogs', interval '5 s') then
            perform tend_backlogs();
        end if;
        perform tend_breakers();
        next_turn := next_turn();
    end if;
    if more or due_schedules or exists (select from frontier) or exists (select from sequences s where s.job_id is null) then
        return 0;
    end if;
    select min(t.at) into next_due from (
        (select s.run_at as at from scheduled s where s.run_at > now() order by s.run_at limit 1)
        union all
        (select s.fire_at from schedules s where s.fire_at > now() order by s.fire_at limit 1)
        union all
        (select next_turn)
        union all
        (select e.expires_at from expiries e where e.expires_at > now() order by e.expires_at limit 1)) t;
    return greatest(1, least(1000, ceil(coalesce(extract(epoch from next_due - clock_timestamp()) * 1000, 1000))));
end
$$;
comment on function do_chores is 'What any worker has to do now and then.';
