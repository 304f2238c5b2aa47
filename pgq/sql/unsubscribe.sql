-- unsubscribe(subscriber_id): takes a reader of the event stream off the register, if it is one of the caller's database role; owners may all.
-- roles: operator, reader
create function unsubscribe(subscriber_id bigint) returns void
language sql security definer set search_path from current
as $$ delete from subscribers where id = subscriber_id and (role_id = caller() or is_owner(caller())) $$;
comment on function unsubscribe is 'Takes a reader of the event stream off the register.';
