-- log_job(job_id, attempt, message, level): keeps a line of a handler's log: add_logs, for workers that are written without arrays.
-- Raises PQ001 for a field that breaks a rule.
-- roles: worker
create function log_job(job_id bigint, attempt integer, message text, level text default 'INFO') returns void
language plpgsql security definer set search_path from current
as $$
declare
    problem constant text[] := log_problem(log_job.job_id, log_job.attempt, now(), log_job.level, log_job.message);
begin
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
    perform add_logs(array[job_id], array[attempt], array[clock_timestamp()], array[level], array[message], array[null::jsonb]);
end
$$;
comment on function log_job is 'Keeps a line of a handler''s log.';
