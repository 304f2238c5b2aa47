-- delete_consumer(name): deletes a consumer and its position; events are no longer kept for it. Raises PQ004 when there is none.
-- Locks: its row.
-- roles: operator
create function delete_consumer(name text) returns void
language plpgsql security definer set search_path from current
as $$
begin
    delete from consumers c where c.name = delete_consumer.name;
    if not found then
        raise exception using errcode = 'PQ004', message = format('no consumer %s', delete_consumer.name);
    end if;
end
$$;
comment on function delete_consumer is 'Deletes a consumer of events.';
