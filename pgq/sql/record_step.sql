-- record_step(worker_id, job_id, attempt, name, output, codec, payload): keeps the result of a step of a handler, for the attempts
-- after this one: output is JSON, or codec and payload are bytes. Outcome: recorded; existing (the step has a result, which stays: an
-- answer was lost, or two run the same step); lost (the lease is not the worker's any more, and nothing was written: whoever
-- was declared dead records nothing).
-- Called in a transaction that writes the step's effects it makes these happen exactly once.
-- Raises PQ001 for a name that is no name or belongs to something else than a step, and for a codec without a payload.
-- Locks: the row of running against its end; then the row of steps.
-- roles: worker
create function record_step(
    worker_id bigint, job_id bigint, attempt integer, name text, output jsonb default null, codec text default null,
    payload bytea default null)
returns text
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
begin
    if (codec is null) <> (payload is null) then
        perform invalid('codec', 'must be given with a payload, and only with one');
    end if;
    if not holds_lease(worker_id, job_id, attempt) then
        return 'lost';
    end if;
    insert into steps (job_id, name, type, attempt, done_at, output, codec, payload)
    values (job_id, check_step_name(name), 'step', attempt, clock_timestamp(), output, codec, payload)
    on conflict on constraint steps_pkey do nothing;
    if found then
        return 'recorded';
    end if;
    perform check_step_type(job_id, name, 'step');
    return 'existing';
end
$$;
comment on function record_step is 'Keeps the result of a step of a handler.';
