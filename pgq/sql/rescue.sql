-- rescue(at_most): declares workers dead that have not heartbeat for their lease, and ends up to at_most
-- attempts per dead or unknown worker. Returns how many attempts were ended.
-- Locks: rows of workers, skipping locked ones, then rows of running in the order of their ids.
create function rescue(at_most integer default 1000) returns integer
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    holder bigint;
    ended integer := 0;
begin
    update workers set dead_at = clock_timestamp()
    where id in (
        select id from workers
        where dead_at is null and heartbeat_at < clock_timestamp() - lease
        order by id for update skip locked);
    for holder in
        select w.id from workers w where w.dead_at is not null
        union
        select r.worker_id from running r where not exists (select from workers w where w.id = r.worker_id)
        order by 1
    loop
        ended := ended + rescue_worker(holder, at_most);
    end loop;
    return ended;
end
$$;
comment on function rescue is 'Declares silent workers dead and ends their attempts.';
