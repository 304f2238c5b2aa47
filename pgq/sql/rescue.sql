-- rescue(at_most): declares workers dead that have not heartbeat for their lease, and ends up to at_most
-- attempts per dead worker. Returns how many attempts were ended.
-- Locks: per silent worker its advisory lock (one that is claiming has it and lives), its row, then rows of
-- running in the order of their ids, skipping those that others have locked.
-- roles: worker, operator
create function rescue(at_most integer default 1000) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
declare
    silent bigint;
    ended integer := 0;
begin
    for silent in
        select w.id from workers w
        where w.dead_at is not null or w.heartbeat_at < clock_timestamp() - w.lease
        order by w.id
    loop
        if not pg_try_advisory_xact_lock(advisory_key('worker/' || silent)) then
            continue;
        end if;
        update workers set dead_at = coalesce(dead_at, clock_timestamp())
        where id = silent and (dead_at is not null or heartbeat_at < clock_timestamp() - lease);
        if found then
            ended := ended + rescue_worker(silent, within('at_most', at_most, 0, 1000000));
        end if;
    end loop;
    return ended;
end
$$;
comment on function rescue is 'Declares silent workers dead and ends their attempts.';
