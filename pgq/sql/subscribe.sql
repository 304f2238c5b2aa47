-- subscribe(subscriber_id, alive_for): registers a reader of the event stream (null: a new one), or says that it
-- lives. From then on every verb writes its events. Returns its id and the id of the newest event. A reader is that of the database role that
-- registered it: another role that is no owner gets a new one, as for an id that is gone. Raises PQ001 for a time that is not 1 ms to 1 day.
-- roles: operator, reader
create function subscribe(subscriber_id bigint default null, alive_for interval default '30 s')
returns table (id bigint, last_event_id bigint)
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
    reader bigint;
begin
    if alive_for is null or alive_for not between interval '1 ms' and interval '1 day' then
        perform invalid('alive_for', 'must be 1 ms to 1 day');
    end if;
    update subscribers s set alive_until = clock_timestamp() + alive_for
    where s.id = subscriber_id and (s.role_id = caller() or is_owner(caller()))
    returning s.id into reader;
    if not found then
        insert into subscribers (alive_until, role_id) values (clock_timestamp() + alive_for, caller())
        returning subscribers.id into reader;
    end if;
    return query select reader, coalesce((select max(e.id) from events e), 0);
end
$$;
comment on function subscribe is 'Registers a reader of the event stream.';
