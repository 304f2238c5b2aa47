-- expire(at_most): does what is due for up to at_most entries of expiries: finishes jobs as expired whose time to live has
-- passed before they were started (others are left alone), ends DAGs whose deadline has passed or that fail fast and
-- have failed, completes nodes that slept long enough, and ends external nodes that nobody answered in time.
-- Returns how many entries were looked at.
-- Locks: rows of expiries, skipping those that others have locked; DAGs; what withdraw_waiting and withdraw lock.
-- roles: worker, operator
create function expire(at_most integer default 1000) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    due bigint[];
    late bigint[];
    gone record;
begin
    with overdue as (
        delete from expiries
        where ctid = any(array(
            select e.ctid from expiries e
            where e.expires_at <= now()
            order by e.expires_at, e.job_id
            limit within('at_most', at_most, 0, 1000000)
            for update skip locked))
        returning job_id
    )
    select coalesce(array_agg(job_id order by job_id), '{}') into due from overdue;
    if due = '{}' then
        return 0;
    end if;
    perform lock_dags(due);
    perform expire_dags(due);
    late := array(select j.id from jobs j where j.id = any(due) and j.role is null and j.expires_at <= now());
    -- A job whose run somebody splits at the same moment is missed once: look again at what still waits.
    for round in 1 .. 100 loop
        exit when late = '{}';
        perform keep_waited(array(select w.job_id from waiting w where w.job_id = any(late) and w.attempt = 0));
        select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
               array_agg(w.queue order by w.job_id) as queues,
               array_agg(w.attempt order by w.job_id) as attempts
        into gone
        from (select job_id, queue, attempt from withdraw_waiting(late, true)
              union all select job_id, queue, attempt from withdraw(late, true)) w;
        perform settle(gone.ids, gone.queues, gone.attempts, 'expired', 'not started within its time to live');
        late := array(
            select s.id from job_states s
            where s.id = any(late) and s.state in ('waiting', 'ready', 'scheduled') and s.attempt = 0);
    end loop;
    if late <> '{}' then
        perform too_busy(late);
    end if;
    return cardinality(due);
end
$$;
comment on function expire is 'Finishes jobs as expired whose time to live has passed.';
