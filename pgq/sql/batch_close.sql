-- batch_close(batch_id): closes a batch: no more jobs are added to it, but by jobs that are in it and run, and it ends when its jobs have
-- ended. False: it was closed before. Raises PQ004 when there is no such batch. Locks: those of dag_complete.
-- roles: producer, worker, operator
create function batch_close(batch_id bigint) returns boolean
language plpgsql security definer set search_path from current
as $$
begin
    perform check_batch(batch_id);
    return dag_complete(batch_id, 'jobs/close') <> 'finished';
end
$$;
comment on function batch_close is 'Closes a batch: no more jobs are added.';
