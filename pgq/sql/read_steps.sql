-- read_steps(job_id, at_most): the steps, cursors, sleeps and signals of a job, for a handler that begins. What takes more
-- than at_most bytes as it is stored is large: its value is left out, to be read by itself (read_step).
-- over: recorded, saved, sent, or slept.
-- roles: worker
create function read_steps(job_id bigint, at_most integer)
returns table (name text, type text, over boolean, timed_out boolean, large boolean, output jsonb, codec text, payload bytea)
language sql stable security definer set search_path from current set jit = off
as $$
    select s.name, s.type, s.done_at is not null or s.type = 'sleep' and s.wake_at <= clock_timestamp(), s.timed_out, l.large,
           case when not l.large then s.output end, s.codec, case when not l.large then s.payload end
    from steps s
    cross join lateral (
        select coalesce(pg_column_size(s.output), 0) + coalesce(pg_column_size(s.payload), 0) > at_most as large) l
    where s.job_id = read_steps.job_id
$$;
comment on function read_steps is 'The steps of a job, for a handler that begins.';
