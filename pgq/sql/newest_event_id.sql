-- newest_event_id(): the highest id that was drawn for an event, committed or not; 0: none. Internal.
create function newest_event_id() returns bigint
language sql volatile
as $$ select case when is_called then last_value else 0 end from events_id_seq $$;
comment on function newest_event_id is 'Highest id drawn for an event.';
