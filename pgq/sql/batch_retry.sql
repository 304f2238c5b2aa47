-- batch_retry(batch_id): runs the jobs again, in place, that failed, were cancelled or expired, of a batch and of the batches in it. Callbacks that were
-- skipped or failed run when they come true, the others do not run again. A batch that was cancelled while it was open is open again. Returns the jobs
-- that were reset; none: there was nothing to do. Raises PQ004 when there is no such batch. Locks: those of dag_retry, for all of the batches.
-- roles: operator
create function batch_retry(batch_id bigint) returns setof bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    batches constant bigint[] := batches_in(batch_id);
    batch bigint;
begin
    perform check_batch(batch_id);
    perform pg_advisory_xact_lock(advisory_key('chores'));
    perform lock_dags(batches);
    -- Inner ones first: a batch is run again with what it comes after.
    foreach batch in array batches loop
        return query select r from dag_retry(batch) r;
    end loop;
end
$$;
comment on function batch_retry is 'Runs again what failed of a batch.';
