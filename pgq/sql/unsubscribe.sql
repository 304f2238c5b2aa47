-- unsubscribe(subscriber_id): takes a reader of the event stream off the register.
create function unsubscribe(subscriber_id bigint) returns void
language sql set search_path from current
as $$ delete from subscribers where id = subscriber_id $$;
comment on function unsubscribe is 'Takes a reader of the event stream off the register.';
