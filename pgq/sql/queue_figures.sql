-- queue_figures(at_most): what the view queue_states says: one row per queue that is registered or holds jobs.
-- Counted up to at_most rows per queue and table, fewer when there are many queues (some 20,000 rows of a table are walked at the
-- most); what is more is an estimate from 100 pages of the table (sampled_jobs), and exact is false. So the cost does not grow
-- with the number of jobs. Stable: all is counted in one snapshot. Locks nothing.
--
-- oldest_ready_at looks at the first job of each priority: the time at which it was enqueued or, when it became ready later, since then.
-- roles: operator, reader
create function queue_figures(at_most integer default 10000)
returns table (
    queue text, depth bigint, ready bigint, scheduled bigint, waiting bigint, running bigint, exact boolean,
    oldest_ready_at timestamptz, oldest_ready_age interval, next_run_at timestamptz,
    paused boolean, paused_at timestamptz, pause_reason text, max_depth bigint, workers bigint, age_every interval, paused_by text)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pages constant integer := 100;
    sample constant bigint := pages * current_setting('block_size')::bigint; -- bytes: tables that have no more are read as a whole
    names constant text[] := array(select n from queue_names() n);
    bound constant integer := greatest(100, least(at_most, 20000 / greatest(1, cardinality(names))));
begin
    return query
        with sampled as materialized (
            select p.queue, sum(p.jobs) filter (where p.state = 'ready') as ready, sum(p.jobs) filter (where p.state = 'scheduled') as scheduled,
                   sum(p.jobs) filter (where p.state = 'waiting') as waiting, sum(p.jobs) filter (where p.state = 'running') as running
            from (
                select * from sampled_jobs('ready', pages)
                union all
                select * from sampled_jobs('scheduled', pages)
                union all
                select * from sampled_jobs('waiting', pages)
                union all
                select r.queue, 'running', count(*), true from running r group by 1) p
            group by 1
        ), serving as materialized (
            select q as queue, count(distinct w.id) as workers
            from workers w, unnest(w.queues) q
            where w.dead_at is null and w.heartbeat_at > statement_timestamp() - w.lease
            group by 1
        ), counted as materialized (
            select n.queue, r.jobs as ready, r.rows <= bound as ready_exact, s.jobs as scheduled, s.jobs <= bound as scheduled_exact
            from unnest(names) n(queue)
            cross join lateral (
                select coalesce(sum(t.size), 0) as jobs, count(*) as rows
                from (select r.size from ready r where r.queue = n.queue limit bound + 1) t) r
            cross join lateral (
                select count(*) as jobs from (select from scheduled s where s.queue = n.queue limit bound + 1) t) s
        ), figures as materialized (
            select queue,
                   coalesce(case when c.ready_exact then c.ready else greatest(c.ready, round(s.ready)) end, s.ready, 0)::bigint as ready,
                   coalesce(case when c.scheduled_exact then c.scheduled else greatest(c.scheduled, round(s.scheduled)) end, s.scheduled, 0)::bigint as scheduled,
                   coalesce(round(s.waiting), 0)::bigint as waiting,
                   coalesce(s.running, 0)::bigint as running,
                   (coalesce(c.ready_exact, pg_relation_size('ready') <= sample) and coalesce(c.scheduled_exact, pg_relation_size('scheduled') <= sample)
                    and pg_relation_size('waiting') <= sample) as exact
            from sampled s
            full join counted c using (queue)
        )
        select f.queue, f.ready + f.scheduled, f.ready, f.scheduled, f.waiting, f.running, f.exact,
               o.at, statement_timestamp() - o.at,
               (select s.run_at from scheduled s where s.queue = f.queue order by s.run_at limit 1),
               q.paused_at is not null, q.paused_at, q.pause_reason, y.max_depth, coalesce(v.workers, 0), y.age_every, q.paused_by
        from figures f
        left join queues q on q.name = f.queue
        cross join lateral settings_of(f.queue) y
        left join serving v on v.queue = f.queue
        cross join lateral (
            select min(greatest(
                       coalesce(h.since, (select j.created_at from jobs j where j.id = h.job_id)),
                       (select max(e.finished_at)
                        from (select (select p.finished_at from results p where p.job_id = e.parent_id) as finished_at
                              from edges e where e.child_id = h.job_id limit 1000) e))) as at
            from generate_series(0, 9) p
            cross join lateral (
                select r.since, r.job_id from ready r where r.queue = f.queue and r.priority = p order by r.seq limit 1) h) o
        order by f.queue;
end
$$;
comment on function queue_figures is 'What the view queue_states says, with a bound of one''s own for what is counted: beyond at_most rows per queue and table figures are estimates.';
