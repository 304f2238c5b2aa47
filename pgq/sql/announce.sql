-- announce(job_ids): writes that jobs were enqueued, for queues that want to hear of it. Internal: the last
-- step of a bulk enqueue by COPY.
create function announce(job_ids bigint[]) returns void
language plpgsql set search_path from current
set jit = off set enable_seqscan = off
as $$
begin
    insert into events (job_id, queue, type)
    select j.id, j.queue, 'enqueued' from jobs j
    where j.id = any(job_ids) and wants_event(j.queue, false);
    perform notify_subscribers();
end
$$;
comment on function announce is 'Writes that jobs were enqueued.';
