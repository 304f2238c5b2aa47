-- heartbeat(worker_id): says that the worker lives; returns the attempts of its that shall be cancelled.
-- Raises PQ005 when the worker is not registered or was declared dead: all its leases are lost.
-- Locks the worker's row only.
-- roles: worker
create function heartbeat(worker_id bigint) returns table (job_id bigint, attempt integer)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    update workers set heartbeat_at = clock_timestamp()
    where id = heartbeat.worker_id and dead_at is null;
    if not found then
        raise exception using
            errcode = 'PQ005',
            message = format('worker %s is not registered or was declared dead', heartbeat.worker_id);
    end if;
    return query
        select r.job_id, r.attempt from running r
        where r.cancel_requested_at is not null and r.worker_id = heartbeat.worker_id;
end
$$;
comment on function heartbeat is 'Says that a worker lives; returns its attempts that shall be cancelled. To be called more often than the lease lasts.';
