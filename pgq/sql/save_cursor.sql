-- save_cursor(worker_id, job_id, attempt, name, output, codec, payload): keeps how far a loop of a handler is, for the attempts after this one; each
-- call replaces what the last one kept. False, and nothing is written, when the lease is lost.
-- Called in a transaction that writes the effects of the loop's round it makes these happen exactly once.
-- Raises PQ001 for a name that is no name or belongs to something else than a cursor, and for a codec without a payload.
-- Locks: the row of running against its end; then the row of steps.
-- roles: worker
create function save_cursor(
    worker_id bigint, job_id bigint, attempt integer, name text, output jsonb default null, codec text default null,
    payload bytea default null)
returns boolean
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
begin
    if (codec is null) <> (payload is null) then
        perform invalid('codec', 'must be given with a payload, and only with one');
    end if;
    if not holds_lease(worker_id, job_id, attempt) then
        return false;
    end if;
    insert into steps as s (job_id, name, type, attempt, done_at, output, codec, payload)
    values (job_id, check_step_name(name), 'cursor', attempt, clock_timestamp(), output, codec, payload)
    on conflict on constraint steps_pkey do update
    set attempt = excluded.attempt, done_at = excluded.done_at, output = excluded.output, codec = excluded.codec, payload = excluded.payload
    where s.type = 'cursor';
    if not found then
        perform check_step_type(job_id, name, 'cursor');
    end if;
    return true;
end
$$;
comment on function save_cursor is 'Keeps how far a loop of a handler is.';
