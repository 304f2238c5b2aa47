-- notify_subscribers(): wakes the readers of the event stream, if there are any, once the transaction commits.
create function notify_subscribers() returns void
language plpgsql
as $$
begin
    if exists (select from subscribers where alive_until > now()) then
        perform pg_notify(event_channel(), '');
    end if;
end
$$;
comment on function notify_subscribers is 'Wakes the readers of the event stream.';
