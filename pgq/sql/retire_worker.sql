-- retire_worker(worker_id): takes a worker off the register at the end of its life. What it still holds
-- becomes ready again (as after a crash). Unknown workers are ignored.
-- roles: worker
create function retire_worker(worker_id bigint) returns void
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform pg_advisory_xact_lock(advisory_key('worker/' || retire_worker.worker_id));
    update workers set dead_at = clock_timestamp() where id = retire_worker.worker_id and dead_at is null;
    while rescue_worker(retire_worker.worker_id, 1000) > 0 loop
    end loop;
end
$$;
comment on function retire_worker is 'Takes a worker off the register.';
