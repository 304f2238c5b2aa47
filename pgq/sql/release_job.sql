-- release_job(worker_id, job_id, attempt): gives one job back that the worker holds: release, for workers that are written without
-- arrays. The attempt does not count. Returns as fail_job does.
-- roles: worker
create function release_job(worker_id bigint, job_id bigint, attempt integer) returns text
language sql security definer set search_path from current
as $$
    select outcome from release(release_job.worker_id, array[job_id], array[attempt])
$$;
comment on function release_job is 'Gives a job back that a worker holds.';
