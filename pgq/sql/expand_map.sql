-- expand_map(job_id): adds the next 2,000 jobs of a map, and leaves the rest to the chores. Items beyond the map's window
-- wait until others are done (release_items). Internal: begin_map and propagate_frontier. Does nothing for a map that is
-- not there or was cancelled.
-- Locks: the map's row of waiting; it is left to the frontier if others have it.
create function expand_map(job_id bigint) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    batch constant integer := 2000;
    map record;
    source jsonb;
    items bigint[];
begin
    select w.job_id, w.held, w.ending, w.pending, w.failed > w.max_failed as doomed,
           m.source_id, m.total, m.expanded, j.dag_id, j.name, j.spec, j.enqueued_by
    into map
    from waiting w
    join maps m on m.job_id = w.job_id
    join jobs j on j.id = w.job_id
    where w.job_id = expand_map.job_id and w.role = 'items'
    for no key update of w, m skip locked;
    if not found then
        insert into frontier (parent_id, first_child, last_child)
        select expand_map.job_id, expand_map.job_id, expand_map.job_id
        where exists (select from waiting w where w.job_id = expand_map.job_id and w.role = 'items')
        on conflict do nothing;
        return;
    elsif map.ending is not null then
        return;
    elsif map.expanded = map.total then
        perform release_items(map.job_id);
        return;
    elsif map.doomed then
        update maps m set total = expanded where m.job_id = map.job_id;
        update waiting w set pending = w.pending - (map.total - map.expanded) where w.job_id = map.job_id;
        perform release_items(map.job_id);
        if map.pending = map.total - map.expanded then
            perform propagate(decide(array[map.job_id], array['skip']));
        end if;
        return;
    end if;
    select jsonb_path_query_array(f.output, (map.spec ->> 'path')::jsonpath) into source from results f where f.job_id = map.source_id;
    items := array(select nextval('jobs_id_seq') from generate_series(1, least(batch, map.total - map.expanded)));
    insert into jobs (id, queue, kind, priority, max_attempts, timeout, backoff, expires_at, tags, metadata, args,
                      dag_id, name, rule, spec, enqueued_by, group_name)
    select items[e.place], t.queue, t.kind, t.priority, t.max_attempts, t.timeout, t.backoff, now() + t.ttl,
           t.tags, nullif(t.metadata, 'null'),
           case when map.spec ->> 'as' is null then e.value
                else coalesce(nullif(t.args, 'null'), '{}') || jsonb_build_object(map.spec ->> 'as', e.value) end,
           map.dag_id, format('%s[%s]', map.name, map.expanded + e.place - 1), 'all',
           jsonb_strip_nulls(jsonb_build_object('map', map.job_id, 'delay', map.spec -> 'item' -> 'delay'))
               || case when jsonb_typeof(map.spec -> 'item' -> 'callbacks') = 'object'
                       then jsonb_build_object('callbacks', map.spec -> 'item' -> 'callbacks') else '{}' end, map.enqueued_by, t."group"
    from (select row_number() over (order by ordinality) as place, value
          from jsonb_array_elements(source) with ordinality
          where ordinality > map.expanded and ordinality <= map.expanded + cardinality(items)) e,
         jsonb_to_record(map.spec -> 'item') t(
             queue text, kind text, priority smallint, max_attempts integer, timeout interval, backoff jsonb,
             ttl interval, tags text[], metadata jsonb, args jsonb, "group" text);
    insert into expiries (expires_at, job_id)
    select j.expires_at, j.id from jobs j where j.id = any(items) and j.expires_at is not null;
    insert into edges (parent_id, child_id) select id, map.job_id from unnest(items) id;
    insert into waiting (job_id, queue, pending, held, need_ok, need_failed, max_failed, max_skipped)
    select id, map.spec -> 'item' ->> 'queue', 1, map.held, 0, 0, 0, 0 from unnest(items) id;
    update maps m
    set expanded = map.expanded + cardinality(items),
        next_item = case when m.next_item = 0 then items[1] else m.next_item end
    where m.job_id = map.job_id;
    if map.expanded + cardinality(items) < map.total then
        insert into frontier (parent_id, first_child, last_child) values (map.job_id, map.job_id, map.job_id)
        on conflict do nothing;
        perform wake_chores();
    end if;
    perform release_items(map.job_id);
end
$$;
comment on function expand_map is 'Adds the next jobs of a map.';
