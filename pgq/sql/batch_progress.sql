-- batch_progress(batch_id): the batch as in batches, with how far it is. One row always; raises PQ004 when there is no such batch, or for a mere
-- producer when others submitted it. Locks nothing.
--
--   select open, done, total, percent from pgq.batch_progress(42);
-- roles: producer, worker, operator, reader
create function batch_progress(batch_id bigint) returns setof batches
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    perform check_batch(batch_id);
    return query select b.* from batches b where b.id = batch_progress.batch_id;
end
$$;
comment on function batch_progress is 'How far a batch is.';
