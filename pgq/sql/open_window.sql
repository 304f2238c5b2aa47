-- open_window(c, newest_id, fence): moves the window of a consumer on: from where it ended to what has ended by now. newest_id is the newest id
-- of an event at some moment, and fence the number of a transaction that got it later than that (event_fence); null where there is none.
-- Internal: next_batch, consumer_start.
--
-- Why no event is passed by: an event is in the window if its transaction had not ended at the first look and has at the second one,
-- and the next window begins where this one ends. So each event that commits is in exactly one window, whatever its id.
-- A window is read in the order of ids behind after_id, which is below all ids in it: a transaction draws ids after it has got its number
-- (events.xid is before events.id). So one whose number is above the fence has ids above newest_id (to_id), and one that was open at
-- a look and not at the look before has ids above the to_id of that one (to_open_ids).
-- The own transaction counts as open: what it writes after this comes later.
-- Raises PQ001 unless each statement has a snapshot of its own, PQ008 when the position is another server's.
create function open_window(c consumers, newest_id bigint, fence xid8) returns consumers
language plpgsql
as $$
declare
    look record;
begin
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        perform invalid('transaction_isolation', 'must be read committed where events are consumed');
    end if;
    if c.to_xid > fence then
        raise exception using errcode = 'PQ008',
            message = format('the position of consumer %s and the events are of another server', c.name),
            hint = 'select adopt_events()';
    end if;
    select l.xid, l.open into look from transactions_look(greatest(fence, c.to_xid)) l;
    c.from_xid := c.to_xid;
    c.from_open := c.to_open;
    c.after_id := least(c.to_id, (select min(o.id) from unnest(c.to_open, c.to_open_ids) o(xid, id) where o.xid <> all(look.open)));
    c.to_open_ids := array(
        select coalesce(o.id, c.to_id)
        from unnest(look.open) with ordinality l(xid, place)
        left join unnest(c.to_open, c.to_open_ids) o(xid, id) on o.xid = l.xid
        order by l.place);
    c.to_xid := look.xid;
    c.to_open := look.open;
    c.to_id := case when fence is null then c.to_id else greatest(c.to_id, newest_id) end;
    c.exhausted := false;
    return c;
end
$$;
comment on function open_window is 'Moves the window of a consumer on.';
