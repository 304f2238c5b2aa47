-- counts(at_most): jobs per queue and state, one row for each state that has any. Counted up to at_most per queue and state (null: up to 10,000,
-- fewer where there are many queues: some 10,000 rows of a state, and 500 per queue, are walked); beyond
-- it the figure is an estimate from 200 pages of the table (sampled_jobs), and exact is false. So the cost does
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
    pages constant integer := 200;
    sample constant bigint := pages * current_setting('block_size')::bigint; -- bytes: tables that have no more are read as a whole
    names constant text[] := array(select queue_names());
    bound constant integer := coalesce(within('at_most', at_most, 0, 1000000), least(10000, 500 + 10000 / greatest(1, cardinality(names))));
begin
    return query select r.queue, 'running', count(*), true from running r group by 1;
    return query
        with sampled as materialized (
            select * from sampled_jobs('ready', pages)
            union all
            select * from sampled_jobs('scheduled', pages)
            union all
            select * from sampled_jobs('waiting', pages)
            union all
            select * from sampled_jobs('results', pages)
        ), counted as (
            select n.queue, 'ready' as state, c.jobs, c.rows <= bound as exact
            from unnest(names) n(queue),
                 lateral (select coalesce(sum(r.size), 0) as jobs, count(*) as rows
                          from (select size from ready where queue = n.queue limit bound + 1) r) c
            where pg_relation_size('ready') > sample
            union all
            select n.queue, 'scheduled', c.jobs, c.jobs <= bound
            from unnest(names) n(queue),
                 lateral (select count(*) as jobs
                          from (select from scheduled where queue = n.queue limit bound + 1) s) c
            where pg_relation_size('scheduled') > sample
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
            where pg_relation_size('results') > sample
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
