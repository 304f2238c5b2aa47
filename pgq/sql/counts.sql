-- counts(at_most): jobs per queue and state, one row for each state that has any. Counted up to at_most per queue and state (null: up to 10,000,
-- fewer where there are many queues: some 10,000 rows of a state, and 500 per queue, are walked); beyond
-- it the figure is scaled up from a sample of some 200 pages of the table, and exact is false. So the cost does
-- not grow with the number of jobs. Completed jobs are counted while they fill few pages, else sampled.
-- Stable: all is counted in one snapshot, else a job that is claimed meanwhile would be missed in both its states.
-- roles: operator, reader
create function counts(at_most integer default null)
returns table (queue text, state text, jobs bigint, exact boolean)
language plpgsql stable security definer set search_path from current
set jit = off
as $$
#variable_conflict use_column
declare
    pages constant double precision := 200;
    ready_scale constant double precision := greatest(1, pg_relation_size('ready') / 8192 / pages);
    scheduled_scale constant double precision := greatest(1, pg_relation_size('scheduled') / 8192 / pages);
    waiting_scale constant double precision := greatest(1, pg_relation_size('waiting') / 8192 / pages);
    results_scale constant double precision := greatest(1, pg_relation_size('results') / 8192 / pages);
    names constant text[] := array(select queue_names());
    bound constant integer := coalesce(within('at_most', at_most, 0, 1000000), least(10000, 500 + 10000 / greatest(1, cardinality(names))));
begin
    return query select r.queue, 'running', count(*), true from running r group by 1;
    return query
        with sampled as materialized (
            select r.queue, 'ready' as state, sum(r.size) * ready_scale as jobs, ready_scale = 1 as exact
            from ready r tablesample system (100 / ready_scale) group by 1
            union all
            select s.queue, 'scheduled', count(*) * scheduled_scale, scheduled_scale = 1
            from scheduled s tablesample system (100 / scheduled_scale) group by 1
            union all
            select w.queue, 'waiting', count(*) * waiting_scale, waiting_scale = 1
            from waiting w tablesample system (100 / waiting_scale) group by 1
            union all
            select f.queue, f.state, count(*) * results_scale, results_scale = 1
            from results f tablesample system (100 / results_scale) group by 1, 2
        ), counted as (
            select n.queue, 'ready' as state, c.jobs, c.rows <= bound as exact
            from unnest(names) n(queue),
                 lateral (select coalesce(sum(r.size), 0) as jobs, count(*) as rows
                          from (select size from ready where queue = n.queue limit bound + 1) r) c
            where ready_scale > 1
            union all
            select n.queue, 'scheduled', c.jobs, c.jobs <= bound
            from unnest(names) n(queue),
                 lateral (select count(*) as jobs
                          from (select from scheduled where queue = n.queue limit bound + 1) s) c
            where scheduled_scale > 1
            union all
            select n.queue, t.state, c.jobs, c.jobs <= bound
            from unnest(names) n(queue),
                 unnest(array['failed', 'cancelled', 'skipped', 'expired']) t(state),
                 lateral (select count(*) as jobs
                          from (select from results f
                                where f.queue = n.queue and f.state = t.state and f.state <> 'completed' and f.dag_id is null
                                union all
                                select from results f
                                where f.queue = n.queue and f.state = t.state and f.state <> 'completed' and f.dag_id is not null
                                limit bound + 1) f) c
            where results_scale > 1
        )
        select queue, state,
               case when c.exact then c.jobs else greatest(c.jobs, round(s.jobs))::bigint end,
               coalesce(c.exact, s.exact)
        from sampled s
        full join counted c using (queue, state)
        where coalesce(c.jobs, s.jobs) > 0;
end
$$;
comment on function counts is 'Jobs per queue and state.';
