-- release_items(job_id): starts as many items of a map as its window has room for, in order. Of a map that has failed
-- more items than it tolerates no more are started: they are skipped. Internal: the caller holds the map's row of waiting.
-- Never waits: behind an item that somebody else has locked the chores go on.
-- Locks: rows of waiting in the order of their ids, skipping those that others have locked.
create function release_items(job_id bigint) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    map record;
    items bigint[];
    free bigint[];
    missed bigint;
begin
    select m.*, w.pending, w.failed > w.max_failed as doomed, w.held, w.ending, (j.spec ->> 'window')::integer as size
    into map
    from maps m
    join waiting w on w.job_id = m.job_id
    join jobs j on j.id = m.job_id
    where m.job_id = release_items.job_id;
    if map.released = map.expanded or map.ending is not null or map.held then
        return;
    end if;
    -- Started are released of them, done are total - pending: the difference is what runs, or may.
    items := array(
        select e.parent_id from edges e
        where e.child_id = map.job_id and e.parent_id >= map.next_item
        order by e.parent_id
        limit case when map.size is null or map.doomed then map.expanded
                   else greatest(0, map.size - (map.released - (map.total - map.pending))) end);
    free := array(select w.job_id from waiting w where w.job_id = any(items) order by w.job_id for update skip locked);
    select min(w.job_id) into missed from waiting w where w.job_id = any(items) and w.job_id <> all(free);
    if missed is not null then
        items := array(select i from unnest(items) i where i < missed order by i);
        free := array(select i from unnest(free) i where i < missed order by i);
        insert into frontier (parent_id, first_child, last_child) values (map.job_id, map.job_id, map.job_id)
        on conflict do nothing;
        perform wake_chores();
    end if;
    if items = '{}' then
        return;
    end if;
    update maps m
    set released = map.released + cardinality(items), next_item = items[cardinality(items)] + 1
    where m.job_id = map.job_id;
    if not map.doomed then
        perform start_nodes(free);
        return;
    end if;
    update waiting w set reason = 'more items failed than the map tolerates' where w.job_id = any(free);
    insert into frontier (parent_id, first_child, last_child)
    select id, 0, 9223372036854775807 from unnest(decide(free, array_fill('skip'::text, array[cardinality(free)]))) id;
    perform wake_chores();
end
$$;
comment on function release_items is 'Starts as many items of a map as its window has room for.';
