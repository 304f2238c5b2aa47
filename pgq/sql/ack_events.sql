-- ack_events(name, token, up_to, skipped): says that the events of a lease are done, all or those up to an id, and ends the lease. In the
-- transaction that writes what was done about them it makes that happen exactly once. skipped is how many of them were given up.
-- False: the lease was lost, somebody else has the events; roll back. Raises PQ001 when skipped is negative. Locks: the consumer's row.
-- roles: worker, operator
create function ack_events(name text, token bigint, up_to bigint default null, skipped integer default 0) returns boolean
language plpgsql security definer set search_path from current
as $$
begin
    if skipped is null or skipped < 0 then
        perform invalid('skipped', 'must not be negative');
    end if;
    return move_position(ack_events.name, ack_events.token, coalesce(ack_events.up_to, 9223372036854775807), ack_events.skipped);
end
$$;
comment on function ack_events is 'Says that leased events are done.';
