-- is_unread(c, xid, id): whether a consumer has yet to read an event. Internal, inlined.
create function is_unread(c consumers, xid xid8, id bigint) returns boolean
language sql immutable
as $$
    select case
        when xid < c.from_xid and xid <> all(c.from_open) then false
        when xid < c.to_xid and xid <> all(c.to_open) then not c.exhausted and id > c.after_id
        else true end
$$;
comment on function is_unread is 'Whether a consumer has yet to read an event.';
