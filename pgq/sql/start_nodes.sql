-- start_nodes(job_ids): takes jobs out of waiting that a handler is to run, and makes them ready, or scheduled where
-- they have a delay. Internal: the caller has locked their rows of waiting and judged that they run.
--
-- A job that never started keeps its place by age: its seq is its id, so the nodes of an old DAG come before jobs
-- that were enqueued later; jobs with consecutive ids that are alike share rows (runs).
create function start_nodes(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    started record;
begin
    with gone as (
        delete from waiting where job_id = any(job_ids) returning job_id, attempt
    ), nodes as materialized (
        select j.id, j.queue, j.priority, j.kind, g.attempt, g.attempt = 0 and j.spec ->> 'delay' is null as plain
        from gone g
        cross join lateral (select id, queue, priority, kind, spec from jobs where jobs.id = g.job_id offset 0) j
    ), islands as (
        select *, id - row_number() over (partition by queue, priority, kind order by id) as island from nodes where plain
    ), pieces as (
        select *, (row_number() over (partition by queue, priority, kind, island order by id) - 1) / max_run_size() as piece
        from islands
    ), runs as (
        insert into ready (queue, priority, seq, job_id, size, kind)
        select queue, priority, min(id), min(id), count(*), kind
        from pieces group by queue, priority, kind, island, piece
    )
    select array_agg(distinct queue) filter (where plain) as queues, array_agg(id) filter (where not plain) as others,
           array_agg(attempt) filter (where not plain) as attempts
    into started
    from nodes;
    if started.others is not null then
        started.queues := started.queues || start_again(started.others, started.attempts);
    end if;
    if started.queues <> '{}' then
        perform wake(started.queues);
    end if;
end
$$;
comment on function start_nodes is 'Makes nodes ready that waited for others.';
