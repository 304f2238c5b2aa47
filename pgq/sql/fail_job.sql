-- fail_job(worker_id, job_id, attempt, error, delay, retryable): says that one attempt failed: fail, for workers that are written
-- without arrays. delay: null is the backoff; retryable: false ends the job as failed whatever attempts are left.
-- Returns where the job is now: ready, scheduled, failed or cancelled (that was asked for meanwhile); null: the lease is
-- lost, and nothing was changed.
-- roles: worker
create function fail_job(
    worker_id bigint, job_id bigint, attempt integer, error text, delay interval default null, retryable boolean default true)
returns text
language sql security definer set search_path from current
as $$
    select outcome from fail(fail_job.worker_id, array[job_id], array[attempt], array[error], array[delay], array[retryable])
$$;
comment on function fail_job is 'Says that an attempt failed.';
