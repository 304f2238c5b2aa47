-- adopt_events(): makes events and consumers whose tables were restored from a dump of another server right for this one, whose transactions
-- are numbered anew. Each consumer goes on at its oldest unread event: some may come again, none is lost. Returns how many events there are.
-- Call it before anything else is written. Locks: the table events against writing, all consumers.
-- roles: owner
create function adopt_events() returns bigint
language plpgsql set search_path from current
as $$
declare
    adopted bigint;
begin
    lock table events in share row exclusive mode;
    update consumers c
    set to_id = least(coalesce((select min(e.id) - 1 from events e where e.id > read_up_to(c) and is_unread(c, e.xid, e.id)), newest_event_id()),
                      newest_event_id());
    update events set xid = '3' where xid <> '3';
    get diagnostics adopted = row_count;
    update consumers c
    set (from_xid, from_open, to_xid, to_open, to_open_ids, to_id, after_id, exhausted)
          = (select s.from_xid, s.from_open, s.to_xid, s.to_open, s.to_open_ids, s.to_id, s.after_id, s.exhausted from consumer_start(c.to_id::text) s),
        token = c.token + 1, leased_id = null, leased_last = null, leased_count = null, leased_until = null, leased_by = null;
    return adopted;
end
$$;
comment on function adopt_events is 'Makes events that were restored from another server right for this one.';
