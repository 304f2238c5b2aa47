-- job_history(job_id): what happened to a job, in order: enqueued and its end from the tables of facts, what
-- lay between from the events (which the queue's level may leave out).
-- roles: operator, reader
create function job_history(job_id bigint)
returns table (id bigint, at timestamptz, type text, attempt integer, worker_id bigint, data jsonb)
language sql stable security definer set search_path from current set jit = off
as $$
    select h.* from (
        select null::bigint as id, j.created_at as at, 'enqueued' as type, null::integer as attempt,
               null::bigint as worker_id, null::jsonb as data
        from jobs j
        where j.id = job_history.job_id
          and not exists (select from events e where e.job_id = j.id and e.type = 'enqueued')
        union all
        select e.id, e.at, e.type, e.attempt, e.worker_id, e.data
        from events e where e.job_id = job_history.job_id
        union all
        select null, f.finished_at, f.state, f.attempt, f.worker_id,
               jsonb_strip_nulls(jsonb_build_object('error', f.error))
        from results f
        where f.job_id = job_history.job_id
          and not exists (select from events e where e.job_id = f.job_id and e.type = f.state
                          and e.attempt is not distinct from f.attempt)
    ) h
    order by h.at, h.id nulls first
$$;
comment on function job_history is 'What happened to a job, in order.';
