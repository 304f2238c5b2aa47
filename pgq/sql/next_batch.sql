-- next_batch(name, at_most): takes the row of a consumer and reads the next events that it wants, at most so many, in order: all of a
-- window by their ids. Returns the consumer with its window as it is then, not yet written, and the events; null for both when there is
-- nothing to do: somebody else has it, it waits after a failure, or nothing new has happened. Raises PQ001 for at_most, PQ004 when there
-- is no such consumer. Locks: the consumer's row, if there is something to do; skips it when it is locked. Internal: consume_events, lease_events.
create function next_batch(name text, at_most integer, out consumer consumers, out batch events[])
language plpgsql
as $$
declare
    -- Whether the transaction had its number before newest_id was read; the lock gives it one.
    begun constant boolean := pg_current_xact_id_if_assigned() is not null;
    newest_id constant bigint := newest_event_id();
    c consumers;
    moved boolean := false;
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    select * into c from consumers x where x.name = next_batch.name;
    if not found then
        raise exception using errcode = 'PQ004', message = format('no consumer %s', next_batch.name);
    elsif not consumer_is_due(c) then
        return;
    end if;
    select * into c from consumers x where x.name = next_batch.name for update skip locked;
    if not found or not consumer_is_due(c) then
        return;
    end if;
    loop
        if c.exhausted then
            c := open_window(c, newest_id, event_fence(c.name, begun));
            moved := true;
        end if;
        batch := read_window(c, at_most);
        c.exhausted := cardinality(batch) < at_most;
        exit when batch <> '{}' or moved;
    end loop;
    consumer := c;
end
$$;
comment on function next_batch is 'Next events of a consumer.';
