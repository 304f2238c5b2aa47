-- read_step(job_id, name): the value that a step, cursor or signal of a job has. No row: none.
-- roles: worker
create function read_step(job_id bigint, name text) returns table (output jsonb, codec text, payload bytea)
language sql stable security definer set search_path from current set jit = off
as $$
    select s.output, s.codec, s.payload from steps s where s.job_id = read_step.job_id and s.name = read_step.name
$$;
comment on function read_step is 'The value that a step of a job has.';
