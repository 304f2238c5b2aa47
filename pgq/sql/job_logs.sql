-- job_logs(job_id, after_id, at_most): what the handlers of a job logged: lines with an id above after_id, in order. Locks nothing.
-- roles: operator, payloads
create function job_logs(job_id bigint, after_id bigint default 0, at_most integer default 1000)
returns table (id bigint, attempt integer, at timestamptz, level text, message text, attrs jsonb)
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
    select l.id, l.attempt, l.at, l.level, l.message, l.attrs
    from logs l
    where l.job_id = job_logs.job_id and l.id > job_logs.after_id
    order by l.id
    limit within('at_most', job_logs.at_most, 0, 1000000)
$$;
comment on function job_logs is 'What the handlers of a job logged.';
