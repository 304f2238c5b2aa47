-- unsubscribe(subscriber_id): takes a reader of the event stream off the register.
-- roles: operator, reader
create function unsubscribe(subscriber_id bigint) returns void
language sql security definer set search_path from current
as $$ delete from subscribers where id = subscriber_id $$;
comment on function unsubscribe is 'Takes a reader of the event stream off the register.';
