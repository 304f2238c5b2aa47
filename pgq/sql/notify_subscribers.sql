-- notify_subscribers(): wakes those who read the events, if there are any, once the transaction commits: live subscribers, and consumers who
-- sleep. Those hold the gates on their LISTEN connections: where nobody does no NOTIFY is sent, since NOTIFY makes commits wait for each other.
create function notify_subscribers() returns void
language plpgsql
as $$
declare
    gate bigint;
begin
    if exists (select from subscribers where alive_until > now()) then
        perform pg_notify(event_channel(), '');
    elsif exists (select from consumers) then
        gate := event_gate() + pg_backend_pid() % 16;
        if pg_try_advisory_lock(gate) then
            perform pg_advisory_unlock(gate);
        else
            perform pg_notify(event_channel(), '');
        end if;
    end if;
end
$$;
comment on function notify_subscribers is 'Wakes the readers of the events.';
