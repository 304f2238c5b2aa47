-- job_errors(job_id): how attempts of a job failed, in order, and what it ended with, whatever the event level of its queue and for as long
-- as the job is kept; of very many attempts the last 100. type: retried, or the state in which the job ended. fingerprint is what errors of
-- one sort have in common (error_fingerprint).
-- roles: operator, reader
create function job_errors(job_id bigint)
returns table (
    attempt integer, at timestamptz, type text, error text, stack text, worker_id bigint, run_at timestamptz, fingerprint text)
language sql stable security definer set search_path from current set jit = off
as $$
    select e.attempt, e.at, case when e.outcome in ('ready', 'scheduled') then 'retried' else e.outcome end, e.error, e.stack,
           e.worker_id, e.run_at, error_fingerprint(e.error)
    from attempt_errors e
    where e.job_id = job_errors.job_id
    union all
    select f.attempt, f.finished_at, f.state, f.error, null, f.worker_id, null, error_fingerprint(f.error)
    from results f
    where f.job_id = job_errors.job_id and f.error is not null
      and not exists (select from attempt_errors e where e.job_id = f.job_id and e.attempt = f.attempt and e.outcome = f.state)
    order by 1, 2
$$;
comment on function job_errors is 'How attempts of a job failed.';
