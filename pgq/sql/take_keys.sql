-- take_keys(keys, job_ids, whiles, holds, conflicts): what becomes of new jobs that are to be unique, by place: added, or,
-- where an earlier one with the key bars it, existing or replaced, with the id of that one. job_ids: those that the new
-- ones would have; whiles: queued or unfinished; holds: until when they bar others at least; conflicts: existing, replace, error. Of equal keys
-- among them the first one counts. taken_at: since when the key stands for the job.
-- Raises PQ007 for a conflict that is to be an error; 42501 if the caller may not know of that job. Internal: enqueue_jobs, and the Go client's EnqueueMany
-- for owners: whoever may call it can take any key from others.
--
-- Why there are never two, and never none: all that want a key meet at its row, in the order of the keys. Who inserts it
-- makes the others wait for its end: then the row is there (committed), or is not (rolled back), and one of
-- them inserts it. Where the earlier job is gets looked up in a later statement, whose snapshot sees what the row
-- was waited for. A job that bars others only until it starts is locked where it is queued, so that claims pass it by
-- until this transaction has ended: it will see what the caller has written.
-- Locks: rows of unique_keys by key; then, shared unless they may be replaced, of waiting and scheduled by job and of ready by key.
-- roles: owner
create function take_keys(keys text[], job_ids bigint[], whiles text[], holds timestamptz[], conflicts text[])
returns table (place integer, outcome text, job_id bigint, taken_at timestamptz)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    mine record;  -- the keys, each with the place where it comes first
    taken record; -- those that stand for other jobs
    over record;  -- those of jobs that bar no others any more
    refused record;
    queued bigint[];
    n bigint;
begin
    select array_agg(f.key order by f.key) as keys, array_agg(f.place::integer order by f.key) as places
    into mine
    from (select distinct on (k.key) k.key, k.place
          from (select key collate "C" as key, place from unnest(take_keys.keys) with ordinality u(key, place)) k
          where k.key is not null order by k.key, k.place) f;
    for round in 1 .. 100 loop
        insert into unique_keys (key, job_id, holds_until)
        select f.key, job_ids[f.place], holds[f.place]
        from unnest(mine.keys, mine.places) f(key, place)
        order by f.key collate "C"
        on conflict do nothing;
        get diagnostics n = row_count;
        if round = 1 and n = cardinality(mine.keys) and n = cardinality(keys) then
            return query select k.place::integer, 'added', job_ids[k.place], now() from generate_series(1, n) k(place);
            return;
        end if;
        exit when n = cardinality(mine.keys);
        perform u.key from unique_keys u where u.key = any(mine.keys) order by u.key for update;
        get diagnostics n = row_count;
        exit when n = cardinality(mine.keys);
    end loop;
    if n < cardinality(mine.keys) then
        perform too_busy(job_ids);
    end if;
    for round in 1 .. 100 loop
        select array_agg(f.place) as places, array_agg(k.key) as keys, array_agg(k.job_id) as holders,
               array_agg(k.taken_at) as since, array_agg(p.place) as states,
               array_agg(coalesce(k.holds_until > now(), false) or p.place in ('waiting', 'scheduled', 'ready')
                         or p.place in ('running', 'lost') and whiles[f.place] = 'unfinished') as bars
        into taken
        from unnest(mine.keys, mine.places) f(key, place)
        join (select * from unique_keys where key = any(mine.keys) offset 0) k on k.key = f.key and k.job_id <> job_ids[f.place]
        join places(array(select u.job_id from unique_keys u where u.key = any(mine.keys))) p on p.job_id = k.job_id;
        queued := array(
            select t.holder
            from unnest(taken.places, taken.holders, taken.states) t(place, holder, state)
            where t.state in ('waiting', 'scheduled', 'ready')
              and (whiles[t.place] = 'queued' or conflicts[t.place] = 'replace'));
        queued := array(select unnest(queued) except select pin_queued(queued, 'replace' = any(conflicts)));
        exit when queued = '{}';
    end loop;
    if queued <> '{}' then
        perform too_busy(queued);
    end if;
    select k.key, t.holder into refused
    from (select key collate "C" as key, place from unnest(take_keys.keys) with ordinality u(key, place)) k
    join unnest(mine.keys, mine.places) f(key, place) on f.key = k.key
    left join unnest(taken.places, taken.holders, taken.bars) t(place, holder, bars) on t.place = f.place
    where conflicts[k.place] = 'error' and (t.bars or k.place <> f.place)
    order by k.place limit 1;
    if found then
        perform check_holders(array[refused.holder]);
        raise exception using
            errcode = 'PQ007',
            message = format('there is a job with the unique key %s already%s', to_json(refused.key), ': ' || refused.holder);
    end if;
    select array_agg(t.key) as keys, array_agg(t.place) as places into over
    from unnest(taken.keys, taken.places, taken.bars) t(key, place, bars) where not t.bars;
    if over.keys is not null then
        update unique_keys u
        set job_id = job_ids[o.place], taken_at = now(), holds_until = holds[o.place]
        from unnest(over.keys, over.places) o(key, place)
        where u.key = any(over.keys) and o.key = u.key;
    end if;
    return query
        with firsts as materialized (
            select f.key, f.place, coalesce(not t.bars, true) as is_new, t.holder, t.since,
                   t.bars and conflicts[f.place] = 'replace' and t.state in ('scheduled', 'ready') as replaces
            from unnest(mine.keys, mine.places) f(key, place)
            left join unnest(taken.places, taken.holders, taken.since, taken.states, taken.bars)
                      t(place, holder, since, state, bars) on t.place = f.place
        )
        select k.place::integer,
               case when f.is_new and k.place = f.place then 'added'
                    when conflicts[k.place] = 'replace' and (f.is_new or f.replaces) then 'replaced'
                    else 'existing' end,
               case when f.is_new then job_ids[f.place] else f.holder end,
               case when f.is_new then now() else f.since end
        from (select key collate "C" as key, place from unnest(take_keys.keys) with ordinality u(key, place)) k
        join firsts f on f.key = k.key
        order by k.place;
end
$$;
comment on function take_keys is 'What becomes of new jobs that are to be unique.';
