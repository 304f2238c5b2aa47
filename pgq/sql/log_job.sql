-- log_job(job_id, attempt, message, level): keeps a line of a handler's log: add_logs, for workers that are written without arrays.
-- roles: worker
create function log_job(job_id bigint, attempt integer, message text, level text default 'INFO') returns void
language sql security definer set search_path from current
as $$
    select add_logs(array[job_id], array[attempt], array[clock_timestamp()], array[level], array[message], array[null::jsonb])
$$;
comment on function log_job is 'Keeps a line of a handler''s log.';
