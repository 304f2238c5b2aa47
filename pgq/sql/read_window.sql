-- read_window(c, at_most): the next events in the window of a consumer that it wants, by id. A walk along the primary key from after_id.
-- Internal: next_batch.
create function read_window(c consumers, at_most integer) returns events[]
language plpgsql stable
set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_custom_plan
as $$
begin
    return array(
        select e from events e
        where e.id > c.after_id
          and not (e.xid < c.from_xid and e.xid <> all(c.from_open))
          and e.xid < c.to_xid and e.xid <> all(c.to_open)
          and (c.queues is null or e.queue = any(c.queues))
          and (c.types is null or e.type = any(c.types))
        order by e.id limit at_most);
end
$$;
comment on function read_window is 'Next events in the window of a consumer.';
