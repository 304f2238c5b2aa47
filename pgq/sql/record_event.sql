-- record_event(type, job_id, queue, attempt, worker_id, data): writes an event that says more than that a
-- job went its usual way, unless the queue wants none. Wakes subscribers.
create function record_event(
    type text, job_id bigint, queue text, attempt integer default null, worker_id bigint default null,
    data jsonb default null)
returns void
language plpgsql
as $$
begin
    if wants_event(record_event.queue, true) then
        insert into events (type, job_id, queue, attempt, worker_id, data)
        values (record_event.type, record_event.job_id, record_event.queue, record_event.attempt,
                record_event.worker_id, record_event.data);
        perform notify_subscribers();
    end if;
end
$$;
comment on function record_event is 'Writes an event.';
