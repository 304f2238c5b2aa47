-- keep_position(c, taken): writes the position of a consumer, of which so many events were taken. A lease that it had ends. Internal.
create function keep_position(c consumers, taken integer) returns void
language sql
as $$
    update consumers x
    set from_xid = c.from_xid, from_open = c.from_open, to_xid = c.to_xid, to_open = c.to_open, to_open_ids = c.to_open_ids,
        to_id = c.to_id, after_id = c.after_id, exhausted = c.exhausted, token = x.token + 1,
        leased_id = null, leased_last = null, leased_count = null, leased_until = null, leased_by = null, failures = 0, error = null, retry_at = null,
        handled = x.handled + taken, read_at = case when taken > 0 then clock_timestamp() else x.read_at end
    where x.name = c.name
$$;
comment on function keep_position is 'Writes the position of a consumer.';
