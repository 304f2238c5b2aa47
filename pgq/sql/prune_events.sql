-- prune_events(at_most): deletes events that were kept for long enough: as long as the results of the queue that keeps them longest,
-- and, while a consumer has not read them, for as long as its keep says. Looks at the oldest at_most events, by id. Consumers that had
-- not read what is deleted are marked (lost_at). Returns how many were deleted.
-- roles: worker, operator
create function prune_events(at_most integer default 10000) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
declare
    longest constant interval := (select max(greatest(keep_completed, keep_failed, keep_cancelled, keep_expired)) from queues);
    past bigint[];
begin
    if at_most is null or at_most < 1 then
        perform invalid('at_most', 'must be at least 1');
    elsif not exists (select from (select e.at from events e order by e.id limit 1) e where e.at < now() - longest) then
        return 0;
    end if;
    past := array(
        select e.id from (select * from events order by events.id limit at_most) e
        where e.at < now() - longest
          and not exists (select from consumers c where e.at >= now() - c.keep and is_unread(c, e.xid, e.id)
                          and (c.queues is null or e.queue = any(c.queues)) and (c.types is null or e.type = any(c.types))));
    update consumers c set lost_at = now()
    where exists (select from events e where e.id = any(past) and is_unread(c, e.xid, e.id)
                  and (c.queues is null or e.queue = any(c.queues)) and (c.types is null or e.type = any(c.types)));
    delete from events e where e.id = any(past);
    return cardinality(past);
end
$$;
comment on function prune_events is 'Deletes events that were kept long enough.';
