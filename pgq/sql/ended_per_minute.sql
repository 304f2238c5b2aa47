-- ended_per_minute(span): how many jobs ended, per minute and queue, from the beginning of the minute that was span ago
-- until now, which makes the last minute an incomplete one. Minutes and queues in which none ended are left out.
--
-- results has no index by time (every completed job would pay for it), so a small table is read as a whole. Of a large one
-- exact is false. What did not complete is found by its index by time, the newest 10,000. Completed jobs are looked for where jobs
-- end: below the ids that run, that are next to be claimed, or that ended last (ended_near). The first 10,000 there are counted,
-- those further down estimated from random ids, fewer and fewer of them; jobs that ended far from where others do may be missing.
-- So the cost does not grow with the number of jobs. Raises PQ001 unless span is 1 minute to 7 days. Locks nothing.
-- roles: operator, reader
create function ended_per_minute(span interval default '1 hour')
returns table (
    minute timestamptz, queue text, completed bigint, failed bigint, cancelled bigint, skipped bigint, expired bigint,
    exact boolean)
language plpgsql stable security definer set search_path from current
set jit = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    small constant boolean := pg_relation_size('results') <= 300 * 8192;
    since constant timestamptz := date_trunc('minute', statement_timestamp() - greatest(interval '0', least(span, interval '7 days')));
    names constant text[] := case when small then '{}' else array(select n from queue_names() n) end;
    most constant integer := greatest(50, 10000 / greatest(1, 8 * cardinality(names)));
begin
    if span is null or span not between interval '1 minute' and interval '7 days' then
        perform invalid('span', 'must be 1 minute to 7 days');
    end if;
    return query
        with others as materialized (
            select n.queue, s.state, b.finished_at, count(*) over (partition by n.queue, s.state, d.nodes) >= most as cut_off
            from unnest(names) n(queue), unnest(array['failed', 'cancelled', 'skipped', 'expired']) s(state),
                 unnest(array[false, true]) d(nodes),
                 lateral (
                     (select f.finished_at from results f
                      where not d.nodes and f.queue = n.queue and f.state = s.state and f.finished_at >= since
                        and f.state <> 'completed' and f.dag_id is null
                      order by f.finished_at desc limit most)
                     union all
                     (select f.finished_at from results f
                      where d.nodes and f.queue = n.queue and f.state = s.state and f.finished_at >= since
                        and f.state <> 'completed' and f.dag_id is not null
                      order by f.finished_at desc limit most)) b
        ), cuts as materialized (
            select o.queue, o.state, min(o.finished_at) as cut from others o where o.cut_off group by 1, 2
        ), found as (
            select date_trunc('minute', f.finished_at) as minute, f.queue, f.state, count(*)::double precision as jobs
            from results f
            where small and f.finished_at >= since
            group by 1, 2, 3
            union all
            select date_trunc('minute', o.finished_at), o.queue, o.state, count(*)
            from others o
            group by 1, 2, 3
            union all
            -- Of what did not complete only what the index look-up left out.
            select e.minute, e.queue, e.state, e.jobs
            from ended_near(case when small then '{}' else ended_places(names, since) end, since) e
            left join cuts c on c.queue = e.queue and c.state = e.state
            where e.state = 'completed' or e.minute < date_trunc('minute', c.cut)
        )
        select f.minute, f.queue,
               coalesce(round(sum(f.jobs) filter (where f.state = 'completed')), 0)::bigint,
               coalesce(round(sum(f.jobs) filter (where f.state = 'failed')), 0)::bigint,
               coalesce(round(sum(f.jobs) filter (where f.state = 'cancelled')), 0)::bigint,
               coalesce(round(sum(f.jobs) filter (where f.state = 'skipped')), 0)::bigint,
               coalesce(round(sum(f.jobs) filter (where f.state = 'expired')), 0)::bigint,
               small
        from found f
        group by f.minute, f.queue
        order by f.minute desc, f.queue;
end
$$;
comment on function ended_per_minute is 'Jobs that ended, per minute and queue, for as far back as span says.';
