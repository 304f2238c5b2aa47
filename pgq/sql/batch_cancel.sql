-- batch_cancel(batch_id, reason): cancels a batch, with its jobs and callbacks, and the batches in it that have not ended. Outcome per batch, as of
-- cancel: cancelled, requested (some of its jobs run: their workers are told to stop them), finished.
-- Raises PQ004 when there is no such batch. Locks: as cancel.
-- roles: operator
create function batch_cancel(batch_id bigint, reason text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    perform check_batch(batch_id);
    return query select c.job_id, c.outcome from cancel(batches_in(batch_id), reason) c order by c.job_id = batch_id, c.job_id;
end
$$;
comment on function batch_cancel is 'Cancels a batch and the batches in it.';
