-- add_logs(job_ids, attempts, times, levels, messages, attrs): keeps log lines of handlers, to be read with the
-- job while it runs and after. Lines of jobs that were deleted are dropped.
-- Locks: rows of jobs against deletion.
-- roles: worker
create function add_logs(
    job_ids bigint[], attempts integer[], times timestamptz[], levels text[], messages text[], attrs jsonb[])
returns void
language sql security definer set search_path from current
as $$
    insert into logs (job_id, attempt, at, level, message, attrs)
    select u.job_id, u.attempt, u.at, u.level, u.message, u.attrs
    from unnest(job_ids, attempts, times, levels, messages, attrs) with ordinality u(job_id, attempt, at, level, message, attrs, place)
    join jobs j on j.id = u.job_id
    order by u.place
    for key share of j
$$;
comment on function add_logs is 'Keeps log lines of handlers.';
