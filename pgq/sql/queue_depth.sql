-- queue_depth(queue_name, at_most): how many jobs of a queue wait to be started (ready, scheduled, or
-- until it is their turn),
-- counted up to at_most, so that the cost is bounded by it.
create function queue_depth(queue_name text, at_most bigint) returns bigint
language sql stable
set jit = off set enable_seqscan = off
as $$
    select least(at_most,
        (select coalesce(sum(size), 0)
         from (select size from ready where queue = queue_name limit at_most) r)
        + (select count(*)
           from (select from scheduled where queue = queue_name limit at_most) s)
        + (select count(*)
           from (select from waiting where role = 'turn' and queue = queue_name limit at_most) w))
$$;
comment on function queue_depth is 'Jobs of a queue that wait to be started, counted up to a bound.';
