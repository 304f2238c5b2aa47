-- note_queue_probe(worker_id, queue_name, at): notes that the job which a worker has claimed at that time is the probe of the queue, if its circuit breaker
-- waits for one. Internal: claim, which was told of room for one job (queue_room).
create function note_queue_probe(worker_id bigint, queue_name text, at timestamptz) returns void
language sql
as $$
    update gates g
    set (probe_id, probe_attempt) = (
        select r.job_id, r.attempt from running r
        where r.queue = queue_name and r.worker_id = note_queue_probe.worker_id and r.claimed_at = note_queue_probe.at
        limit 1)
    where g.scope = 'queue' and g.name = queue_name and g.probe_at <= note_queue_probe.at and g.probe_id is null
$$;
comment on function note_queue_probe is 'Notes which job is the probe of a queue.';
