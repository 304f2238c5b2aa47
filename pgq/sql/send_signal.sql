-- send_signal(job_id, name, value): sends a signal to a job, whose handler waits for it, or will. Each name of a job is one signal: the first
-- value counts. Outcome: delivered (the job waited for it, and is ready); kept (it runs, or has not got there: its handler finds the value when it
-- looks); duplicate (the name had its value); late (the handler has stopped waiting for it); finished; not_found. In the last four nothing is changed.
-- Raises PQ001 for a name that is no name or belongs to a step, cursor or sleep, and for a job that no handler runs (of those,
-- external nodes are answered by dag_complete).
--
-- The job is woken, or its handler finds the signal, in whatever order this, await_step and suspend come: see suspend. A job that was put off for
-- another reason, after an attempt that failed for example, is left where it is.
-- Locks: signal/<id>; the row of scheduled, jobs against its deletion, steps; then what put_ready locks.
-- roles: producer, worker, operator
create function send_signal(job_id bigint, name text, value jsonb default null) returns text
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_variable
declare
    now constant timestamptz := clock_timestamp();
    job record;
    parked record;
    step steps;
begin
    perform check_step_name(name);
    perform pg_advisory_xact_lock(advisory_key('signal/' || job_id));
    select s.job_id, s.attempt into parked from scheduled s where s.job_id = send_signal.job_id for update;
    select j.id, j.queue, j.role into job from jobs j where j.id = any(visible(array[send_signal.job_id])) for key share;
    if not found then
        return 'not_found';
    elsif job.role is not null then
        perform invalid('job_id', format('must be a job that a handler runs; %s is of role %s', job_id, job.role));
    elsif exists (select from results f where f.job_id = send_signal.job_id) then
        return 'finished';
    end if;
    insert into steps (job_id, name, type, done_at, output)
    values (job_id, name, 'signal', now, value)
    on conflict on constraint steps_pkey do nothing;
    if not found then
        perform check_step_type(job_id, name, 'signal');
        select * into step from steps s where s.job_id = send_signal.job_id and s.name = send_signal.name for update;
        if step.done_at is not null then
            return case when step.timed_out then 'late' else 'duplicate' end;
        end if;
        update steps s set done_at = now, output = value where s.job_id = send_signal.job_id and s.name = send_signal.name;
    end if;
    perform record_event('signalled', job_id, job.queue, null, null, jsonb_build_object('step', name));
    -- An attempt that was suspended does not count; one that failed after it had looked does.
    if parked.attempt < step.attempt then
        delete from scheduled s where s.job_id = send_signal.job_id;
        perform put_ready(array[job_id], array[parked.attempt]);
        return 'delivered';
    end if;
    return 'kept';
end
$$;
comment on function send_signal is 'Sends a signal to a job.';
