-- subscribe(subscriber_id, alive_for): registers a reader of the event stream (null: a new one), or says that it
-- lives. From then on every verb writes its events. Returns its id and the id of the newest event.
-- roles: operator, reader
create function subscribe(subscriber_id bigint default null, alive_for interval default '30 s')
returns table (id bigint, last_event_id bigint)
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
    reader bigint;
begin
    update subscribers s set alive_until = clock_timestamp() + alive_for
    where s.id = subscriber_id
    returning s.id into reader;
    if not found then
        insert into subscribers (alive_until) values (clock_timestamp() + alive_for)
        returning subscribers.id into reader;
    end if;
    return query select reader, coalesce((select max(e.id) from events e), 0);
end
$$;
comment on function subscribe is 'Registers a reader of the event stream.';
