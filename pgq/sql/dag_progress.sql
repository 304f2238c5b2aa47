-- dag_progress(dag_id): how far a DAG is. One row always; raises PQ004 when there is no such DAG. Locks nothing.
-- Counts jobs that a handler runs: items of maps as soon as they exist; no sub-DAGs, gates, maps, sleeps and answers.
-- fraction: those that have ended / total. elapsed: from the submission to the end, or to now.
--
-- remaining is an estimate: work left / parallelism, where
--   work left    = for each node that has not ended, the median duration of the node of that name in up to ten earlier
--                  runs of the same DAG name (completed ones and failed ones), less what it has been running for. Items
--                  of a map share a median, and a map that has not begun is taken to have as many as it had on average.
--                  Nodes that no earlier run knew, and those beyond 500 names, take the mean of the others.
--   parallelism  = time spent in handlers so far / time since the first start, or the number of jobs that run now if
--                  that is more.
-- Before anything has started it is the median time that the earlier runs took. Without an earlier run it is
-- jobs left * time since the first start / jobs that have ended. Zero when the DAG has ended; null when nothing is known.
-- Waiting for answers, times and retries is no work; nor is it known how many items an unknown map will have.
-- roles: worker, operator, reader
create function dag_progress(dag_id bigint)
returns table (
    total bigint, waiting bigint, scheduled bigint, ready bigint, running bigint, completed bigint, failed bigint,
    cancelled bigint, expired bigint, skipped bigint, fraction double precision, elapsed interval, remaining interval)
language plpgsql stable security definer set search_path from current
set jit = off set work_mem = '32MB' set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    now constant timestamptz := statement_timestamp();
    root constant jobs := dag_graph_root(dag_progress.dag_id);
    ended_at constant timestamptz := (select finished_at from results where job_id = root.id);
    n record;
    pace record;
    spent double precision; -- since the first start, in seconds
    left_seconds double precision;
begin
    -- The places of the nodes are read in ranges: their ids are consecutive but for few gaps.
    with nodes as materialized (
        select id, name from jobs where dag_id = root.id and role is null
    ), islands as materialized (
        select min(id) as first, max(id) as last
        from (select id, id - row_number() over (order by id) as island from nodes) i
        group by island
    ), ended as materialized (
        select f.* from islands i cross join lateral (
            select job_id, state, claimed_at, finished_at from results where job_id between i.first and i.last offset 0) f
    ), leased as materialized (
        select r.job_id, r.claimed_at, j.name from islands i cross join lateral (
            select job_id, claimed_at from running where job_id between i.first and i.last offset 0) r
        cross join lateral (select name from jobs where id = r.job_id offset 0) j
    ), tallied as (
        select count(*) as ended,
               count(*) filter (where state = 'completed') as completed,
               count(*) filter (where state = 'failed') as failed,
               count(*) filter (where state = 'cancelled') as cancelled,
               count(*) filter (where state = 'expired') as expired,
               count(*) filter (where state = 'skipped') as skipped,
               sum(date_part('epoch', finished_at - claimed_at)) as busy,
               min(claimed_at) as first_start
        from ended
    ), maps_left as (
        select j.name, w.pending, m.total - m.expanded as missing
        from (select id, name from jobs where ended_at is null and dag_id = root.id and role = 'map' offset 0) j
        cross join lateral (select role, pending from waiting where job_id = j.id offset 0) v
        left join lateral (select total, expanded from maps where job_id = j.id and v.role = 'items' offset 0) m on true
        left join lateral (select v.pending where v.role = 'items') w on true
    ), lefts as (
        select array_agg(n.name) as names
        from nodes n
        where ended_at is null and right(n.name, 1) <> ']' and not exists (select from ended f where f.job_id = n.id)
    )
    select (select count(*) from nodes) as total, t.*, l.names,
           (select count(*) from islands i cross join lateral (
                select from scheduled where job_id between i.first and i.last offset 0) s) as scheduled,
           (select count(*) from islands i cross join lateral (
                select from waiting where job_id between i.first and i.last offset 0) w) as waiting,
           r.running, r.busy as busy_now, least(t.first_start, r.first_start) as first_start_of_all, r.names as running_names, r.elapsed,
           m.names as map_names, m.counts as map_counts, coalesce(m.missing, 0) as missing
    into n
    from tallied t, lefts l,
         (select count(*) as running, sum(date_part('epoch', greatest(now, claimed_at) - claimed_at)) as busy,
                 min(claimed_at) as first_start, array_agg(name) as names,
                 array_agg(date_part('epoch', greatest(now, claimed_at) - claimed_at)) as elapsed
          from leased) r,
         (select array_agg(name) as names, array_agg(pending) as counts, sum(missing) as missing from maps_left) m;

    spent := date_part('epoch', now - n.first_start_of_all);
    if ended_at is not null then
        left_seconds := 0;
    else
        select * into pace
        from dag_graph_pace(root.id, root.kind, n.names, n.map_names, n.map_counts, n.running_names, n.elapsed);
        left_seconds := case
            when spent is null then pace.took
            when pace.work is not null then
                pace.work / greatest((coalesce(n.busy, 0) + coalesce(n.busy_now, 0)) / nullif(spent, 0), n.running, 1e-3)
            when n.ended > 0 then (n.total - n.ended + n.missing) * spent / n.ended
        end;
    end if;
    return query
        select n.total, n.waiting, n.scheduled,
               n.total - n.ended - n.waiting - n.scheduled - n.running,
               n.running, n.completed, n.failed, n.cancelled, n.expired, n.skipped,
               coalesce(n.ended::double precision / nullif(n.total, 0), case when ended_at is null then 0 else 1 end),
               coalesce(ended_at, now) - root.created_at,
               make_interval(secs => case when left_seconds is not null then greatest(0, least(left_seconds, 1e10)) end);
end
$$;
comment on function dag_progress is 'How far a DAG is.';
