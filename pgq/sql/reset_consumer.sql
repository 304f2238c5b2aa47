-- reset_consumer(name, start_at): puts the position of a consumer to now, beginning or behind an event's id. A lease that somebody has
-- is lost. Raises PQ001 for another start_at, PQ004 when there is no such consumer. Locks: its row.
-- roles: operator
create function reset_consumer(name text, start_at text) returns void
language plpgsql security definer set search_path from current
as $$
begin
    update consumers c
    set (from_xid, from_open, to_xid, to_open, to_open_ids, to_id, after_id, exhausted)
          = (select s.from_xid, s.from_open, s.to_xid, s.to_open, s.to_open_ids, s.to_id, s.after_id, s.exhausted from consumer_start(start_at) s),
        token = c.token + 1, leased_id = null, leased_last = null, leased_count = null, leased_until = null, leased_by = null,
        failures = 0, error = null, retry_at = null, lost_at = null, updated_at = now()
    where c.name = reset_consumer.name;
    if not found then
        raise exception using errcode = 'PQ004', message = format('no consumer %s', reset_consumer.name);
    end if;
end
$$;
comment on function reset_consumer is 'Puts the position of a consumer elsewhere.';
