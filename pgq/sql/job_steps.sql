-- job_steps(job_id): what handlers of a job have kept for later attempts: results of steps, cursors, sleeps, signals, in the order in which
-- they were first noted. done_at is when a step was recorded, a cursor saved, a signal sent; a sleep without it is over from wake_at on.
-- roles: worker, operator
create function job_steps(job_id bigint)
returns table (
    name text, type text, attempt integer, noted_at timestamptz, wake_at timestamptz, done_at timestamptz, timed_out boolean,
    output jsonb, codec text, payload bytea)
language sql stable security definer set search_path from current set jit = off
as $$
    select s.name, s.type, s.attempt, s.noted_at, s.wake_at, s.done_at, s.timed_out, s.output, s.codec, s.payload
    from steps s
    where s.job_id = job_steps.job_id
    order by s.noted_at, s.name
$$;
comment on function job_steps is 'What handlers of a job have kept for later attempts.';
