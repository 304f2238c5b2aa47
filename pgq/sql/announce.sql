-- announce(job_ids, queue_names, wake_workers): the last step of a bulk enqueue by COPY: writes that the jobs were
-- enqueued, for queues that want to hear of it (null: nobody does), and wakes workers. Internal: the Go client's EnqueueMany.
-- roles: owner
create function announce(job_ids bigint[], queue_names text[], wake_workers boolean) returns void
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    if job_ids is not null then
        insert into events (job_id, queue, type)
        select j.id, j.queue, 'enqueued' from jobs j
        where j.id = any(job_ids) and wants_event(j.queue, false);
        perform notify_subscribers();
    end if;
    if wake_workers then
        perform wake(queue_names);
    end if;
end
$$;
comment on function announce is 'Last step of a bulk enqueue by COPY.';
