-- add_logs(job_ids, attempts, times, levels, messages, attrs): keeps log lines of handlers, to be read with the
-- job while it runs and after.
create function add_logs(
    job_ids bigint[], attempts integer[], times timestamptz[], levels text[], messages text[], attrs jsonb[])
returns void
language sql set search_path from current
as $$
    insert into logs (job_id, attempt, at, level, message, attrs)
    select * from unnest(job_ids, attempts, times, levels, messages, attrs)
$$;
comment on function add_logs is 'Keeps log lines of handlers.';
