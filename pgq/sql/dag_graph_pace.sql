-- dag_graph_pace(dag_id, kind, names, map_names, map_counts, running_names, elapsed): the work that is left of a DAG in
-- seconds, judged by up to ten earlier runs of the same name, and the median time that these took. Both null: there is no
-- earlier run; work is null when none knew any of these nodes. Internal: dag_progress, whose header has the formula.
-- names: nodes that have not ended, other than items; map_names and map_counts: maps and how many of their items have not
-- ended (null: not known yet); running_names and elapsed: how many seconds nodes and items have been running.
-- Looks at 500 of the names, and at 50 items of a map per run.
create function dag_graph_pace(
    dag_id bigint, kind text, names text[], map_names text[], map_counts integer[], running_names text[],
    elapsed double precision[], out work double precision, out took double precision)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    runs bigint[];
    every constant integer := 1 + cardinality(names) / 500;
begin
    select array_agg(r.id), percentile_cont(0.5) within group (order by date_part('epoch', r.finished_at - r.created_at))
    into runs, took
    from (
        select d.id, d.created_at, f.finished_at
        from (select id, created_at from jobs
              where kind = dag_graph_pace.kind and role = 'dag' and dag_id is null and id < dag_graph_pace.dag_id
              order by id desc
              limit 1000) d
        cross join lateral (
            select finished_at from results
            where job_id = d.id and state in ('completed', 'failed') offset 0) f
        order by d.id desc
        limit 10) r;
    if runs is null then
        return;
    end if;
    with sampled as materialized (
        select u.name, 1::double precision as n, false as map
        from unnest(names) with ordinality u(name, place)
        where place % every = 0
        union all
        select u.name, coalesce(u.n, (
                   select avg((f.output ->> 'items')::double precision)
                   from unnest(runs) run
                   cross join lateral (select id from jobs where dag_id = run and name = u.name offset 0) m
                   cross join lateral (select output from results where job_id = m.id offset 0) f)), true
        from unnest(map_names, map_counts) u(name, n)
    ), active as materialized (
        select case when right(u.name, 1) = ']' then left(u.name, -strpos(reverse(u.name), '[')) else u.name end as name,
               sum(u.elapsed) as elapsed
        from unnest(running_names, elapsed) u(name, elapsed)
        group by 1
    ), judged as materialized (
        select s.n, s.map, a.elapsed, m.median
        from sampled s
        left join active a using (name)
        cross join lateral (
            select percentile_cont(0.5) within group (order by date_part('epoch', f.finished_at - f.claimed_at)) as median
            from unnest(runs) run
            cross join lateral (
                select id from jobs where not s.map and dag_id = run and name = s.name and role is null
                union all
                (select id from jobs
                 where s.map and dag_id = run and name > s.name || '[' and name < s.name || '\' and role is null
                 order by name
                 limit 50)) j
            cross join lateral (
                select claimed_at, finished_at from results
                where job_id = j.id and state = 'completed' and claimed_at is not null offset 0) f) m
        where s.n is not null
    ), known as (
        select sum(j.n * j.median) / nullif(sum(j.n), 0) as mean,
               sum(greatest(0, j.n * j.median - coalesce(j.elapsed, 0)) - j.n * j.median) as spent,
               sum(j.n * j.median) filter (where j.map) as in_maps,
               sum(j.n * j.median) filter (where not j.map) / nullif(count(*) filter (where not j.map), 0) as plain_mean
        from judged j
        where j.median is not null
    )
    select greatest(0, coalesce(k.in_maps, 0)
                       + coalesce(k.plain_mean, k.mean) * coalesce(cardinality(names), 0)
                       + k.mean * (select coalesce(sum(j.n), 0) from judged j where j.map and j.median is null)
                       + k.spent)
    into work
    from known k
    where k.mean is not null;
end
$$;
comment on function dag_graph_pace is 'The work left of a DAG, judged by earlier runs.';
