-- complete_job(worker_id, job_id, attempt, output): completes one attempt that the worker holds: complete, for workers that are
-- written without arrays. Returns completed, or null: the lease is lost, and nothing was changed.
-- roles: worker
create function complete_job(worker_id bigint, job_id bigint, attempt integer, output jsonb default null) returns text
language sql security definer set search_path from current
as $$
    select 'completed' from complete(complete_job.worker_id, array[job_id], array[attempt], array[output]) c
$$;
comment on function complete_job is 'Completes an attempt that a worker holds.';
