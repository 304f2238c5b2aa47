-- holds_lease(worker_id, job_id, attempt): whether the worker holds this attempt; if so it stays so until the transaction ends.
-- Internal: what handlers write while they run. Locks: the row of running against its end.
create function holds_lease(worker_id bigint, job_id bigint, attempt integer) returns boolean
language plpgsql
as $$
begin
    perform from running r
    where r.job_id = holds_lease.job_id and r.attempt = holds_lease.attempt and r.worker_id = holds_lease.worker_id
    for key share;
    return found;
end
$$;
comment on function holds_lease is 'Whether a worker holds an attempt.';
