-- event_channel(): the NOTIFY channel on which readers of the event stream are woken. Empty payload.
create function event_channel() returns text
language sql stable
as $$ select 'pgq-events:' || current_schema() $$;
comment on function event_channel is 'NOTIFY channel of the readers of the event stream.';
