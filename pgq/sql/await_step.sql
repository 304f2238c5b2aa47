-- await_step(worker_id, job_id, attempt, name, type, delay): a handler sleeps (type sleep) or waits for a signal (type signal). The
-- first call of a name notes until when (now + delay; null: without limit), later ones keep to that, in whatever attempt.
-- Outcome: done (the sleep is over; the signal is there, and output is its value), timed_out (no signal came in time; that stays so),
-- open (the handler shall return, and the worker call suspend), lost (the lease is not the worker's any more, nothing was written).
-- Raises PQ001 for a name that is no name or belongs to something of another type, and for a negative delay.
-- Locks: the row of running against its end; then the row of steps, for which it waits when a signal is being sent.
-- roles: worker
create function await_step(
    worker_id bigint, job_id bigint, attempt integer, name text, type text, delay interval, out outcome text, out output jsonb)
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    now constant timestamptz := clock_timestamp();
    step steps;
begin
    if coalesce(type not in ('sleep', 'signal'), true) then
        perform invalid('type', 'must be sleep or signal');
    elsif delay < interval '0' or delay is null and type = 'sleep' then
        perform invalid('delay', 'must not be negative');
    elsif delay > interval '100 years' then
        perform invalid('delay', 'must be at most 100 years');
    elsif not holds_lease(worker_id, job_id, attempt) then
        outcome := 'lost';
        return;
    end if;
    insert into steps (job_id, name, type, attempt, wake_at)
    values (job_id, check_step_name(name), type, attempt, now + delay)
    on conflict on constraint steps_pkey do nothing;
    perform check_step_type(job_id, name, type);
    select * into step from steps s where s.job_id = await_step.job_id and s.name = await_step.name for update;
    if step.done_at is null and step.wake_at <= now then
        update steps s set done_at = now, timed_out = type = 'signal'
        where s.job_id = await_step.job_id and s.name = await_step.name
        returning * into step;
    elsif step.done_at is null and step.attempt <> attempt then
        update steps s set attempt = await_step.attempt where s.job_id = await_step.job_id and s.name = await_step.name;
    end if;
    outcome := case when step.timed_out then 'timed_out' when step.done_at is not null then 'done' else 'open' end;
    output := step.output;
end
$$;
comment on function await_step is 'A handler sleeps or waits for a signal.';
