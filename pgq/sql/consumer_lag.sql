-- consumer_lag(name): how far behind a consumer of events is: how many events it wants and has yet to read, counted among the first 10,000 that
-- it might not have read, whether there are no more than those, when the oldest was written, and the id at which it is. Locks nothing.
-- roles: operator, reader
create function consumer_lag(name text) returns table (behind integer, exact boolean, oldest_at timestamptz, position_id bigint)
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off
as $$
    select count(*) filter (where e.unread)::integer, count(e.at) < 10000, min(e.at) filter (where e.unread),
           least(c.to_id, case when not c.exhausted then c.after_id end)
    from consumers c
    left join lateral (
        select e.at, is_unread(c, e.xid, e.id) and (c.queues is null or e.queue = any(c.queues)) and (c.types is null or e.type = any(c.types)) as unread
        from events e where e.id > read_up_to(c) order by e.id limit 10000) e on true
    where c.name = consumer_lag.name
    group by c.name
$$;
comment on function consumer_lag is 'How far behind a consumer of events is.';
