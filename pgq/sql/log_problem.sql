-- log_problem(job_id, attempt, at, level, message): the first rule that a log line breaks, as {field, rule}; null when none. Internal: add_logs, log_job.
create function log_problem(job_id bigint, attempt integer, at timestamptz, level text, message text) returns text[]
language sql immutable
as $$
    select case
        when job_id is null then array['job_id', 'must not be null']
        when attempt is null or attempt < 0 then array['attempt', 'must be at least 0']
        when at is null then array['time', 'must not be null']
        when level is null or length(level) not between 1 and 40 then array['level', 'must have 1 to 40 characters']
        when message is null then array['message', 'must not be null']
    end
$$;
comment on function log_problem is 'First rule that a log line breaks, as {field, rule}.';
