-- extend_events(name, token, lease): lets a lease of events last for so long from now on. False: it was lost. Raises PQ001 when lease is not
-- 1 ms to 1 day. Locks: the consumer's row.
-- roles: worker, operator
create function extend_events(name text, token bigint, lease interval) returns boolean
language plpgsql security definer set search_path from current
as $$
begin
    if lease is null or lease not between interval '1 ms' and interval '1 day' then
        perform invalid('lease', 'must be 1 ms to 1 day');
    end if;
    update consumers c set leased_until = clock_timestamp() + lease
    where c.name = extend_events.name and c.token = extend_events.token and c.leased_id is not null;
    return found;
end
$$;
comment on function extend_events is 'Extends a lease of events.';
