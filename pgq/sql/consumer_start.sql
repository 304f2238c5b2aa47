-- consumer_start(start_at): the position of a consumer that begins now, at the beginning, or behind an event's id. Raises PQ001 for any
-- other. What is open at this moment is read when it commits, whatever its ids, but none up to the id. Internal: set_consumer, reset_consumer.
create function consumer_start(start_at text) returns consumers
language plpgsql
as $$
declare
    begun constant boolean := pg_current_xact_id_if_assigned() is not null;
    newest_id constant bigint := newest_event_id();
    c consumers;
begin
    if start_at is null or start_at not in ('now', 'beginning') and start_at !~ '^[0-9]{1,18}$' then
        perform invalid('start_at', 'must be now, beginning or the id of an event');
    end if;
    if start_at ~ '^[0-9]' and start_at::bigint > newest_id then
        perform invalid('start_at', format('must be the id of an event that was written; the newest is %s', newest_id));
    end if;
    c.to_xid := '1';
    c.to_open := '{}';
    c.to_open_ids := '{}';
    c.to_id := case when start_at in ('now', 'beginning') then 0 else start_at::bigint end;
    c := open_window(c, newest_id, event_fence(null, begun));
    if start_at = 'now' then
        c.from_xid := c.to_xid;
        c.from_open := c.to_open;
        c.after_id := c.to_id;
        c.exhausted := true;
    end if;
    return c;
end
$$;
comment on function consumer_start is 'Position of a consumer that begins.';
