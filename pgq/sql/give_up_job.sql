-- give_up_job(worker_id, job_id, attempt, reason): ends one attempt as cancelled: give_up, for workers that are written without
-- arrays. Returns cancelled, or null: the lease is lost, and nothing was changed.
-- roles: worker
create function give_up_job(worker_id bigint, job_id bigint, attempt integer, reason text default null) returns text
language sql security definer set search_path from current
as $$
    select outcome from give_up(give_up_job.worker_id, array[job_id], array[attempt], array[reason])
$$;
comment on function give_up_job is 'Ends an attempt as cancelled.';
