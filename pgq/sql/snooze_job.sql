-- snooze_job(worker_id, job_id, attempt, delay): puts one job that the worker holds off until later: snooze, for workers that are
-- written without arrays. The attempt does not count. Raises PQ001 for a delay that is missing or negative. Returns as fail_job does.
-- roles: worker
create function snooze_job(worker_id bigint, job_id bigint, attempt integer, delay interval) returns text
language sql security definer set search_path from current
as $$
    select outcome from snooze(snooze_job.worker_id, array[job_id], array[attempt], array[delay])
$$;
comment on function snooze_job is 'Puts a job that a worker holds off until later.';
