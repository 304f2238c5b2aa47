-- add_logs(job_ids, attempts, times, levels, messages, attrs): keeps log lines of handlers, to be read with the
-- job while it runs and after. Lines of jobs that were deleted are dropped.
-- Locks: rows of jobs against deletion.
create function add_logs(
    job_ids bigint[], attempts integer[], times timestamptz[], levels text[], messages text[], attrs jsonb[])
returns void
language sql set search_path from current
as $$
    insert into logs (job_id, attempt, at, level, message, attrs)
    select u.*
    from unnest(job_ids, attempts, times, levels, messages, attrs) u(job_id, attempt, at, level, message, attrs)
    join jobs j on j.id = u.job_id
    for key share of j
$$;
comment on function add_logs is 'Keeps log lines of handlers.';
