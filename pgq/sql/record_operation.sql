-- record_operation(type, queue, data): writes an event of what an operator did with a queue or a limit, also for mute queues: it is rare, and
-- somebody will ask who it was. Wakes subscribers. Internal.
create function record_operation(type text, queue text, data jsonb) returns void
language plpgsql
as $$
begin
    insert into events (type, queue, data) values (record_operation.type, record_operation.queue, record_operation.data);
    perform notify_subscribers();
end
$$;
comment on function record_operation is 'Writes an event of what an operator did with a queue or a limit.';
