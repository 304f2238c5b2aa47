-- fail_events(name, token, up_to, error, retry_in, skipped): says that of the events of a lease those up to an id (0: none) are done and the next one
-- failed: it is the first of the next batch, which nobody gets before retry_in has passed; skipped of them were given up. Ends the lease. False: the lease was lost.
-- Raises PQ001 when retry_in is not 0 to 1 day or skipped is negative. Locks: the consumer's row.
-- roles: worker, operator
create function fail_events(name text, token bigint, up_to bigint, error text, retry_in interval default '1 s', skipped integer default 0)
returns boolean
language plpgsql security definer set search_path from current
as $$
begin
    if retry_in is null or retry_in not between interval '0' and interval '1 day' then
        perform invalid('retry_in', 'must be 0 to 1 day');
    elsif skipped is null or skipped < 0 then
        perform invalid('skipped', 'must not be negative');
    elsif not move_position(fail_events.name, fail_events.token, coalesce(up_to, 0), fail_events.skipped) then
        return false;
    end if;
    update consumers c
    set failures = c.failures + 1, error = left(coalesce(fail_events.error, 'failed'), 2000), retry_at = clock_timestamp() + retry_in
    where c.name = fail_events.name;
    return true;
end
$$;
comment on function fail_events is 'Says that a leased event failed.';
