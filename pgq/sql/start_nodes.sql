-- start_nodes(job_ids): takes jobs out of waiting that a handler is to run, and makes them ready, or scheduled where
-- they have a delay. Internal: the caller has locked their rows of waiting and judged that they run.
--
-- A job that never started keeps its place by age: its seq is its id, so the nodes of an old DAG come before jobs
-- that were enqueued later. What was retried and is of a sequence lines up in that; jobs with consecutive ids that are alike share rows (runs).
create function start_nodes(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    started record;
begin
    with gone as (
        delete from waiting where job_id = any(job_ids) returning job_id, attempt, sequence
    ), nodes as materialized (
        select j.id, j.queue, j.priority, j.kind, g.attempt,
               j.sequence is not null and g.sequence is null as astray,
               g.attempt = 0 and j.spec ->> 'delay' is null and j.spec ->> 'run_at' is null and (j.sequence is null or g.sequence is not null) as plain
        from gone g
        cross join lateral (select id, queue, priority, kind, spec, sequence from jobs where jobs.id = g.job_id offset 0) j
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
    select array_agg(distinct queue) filter (where plain) as queues, array_agg(id) filter (where not plain and not astray) as others,
           array_agg(attempt) filter (where not plain and not astray) as attempts,
           array_agg(id) filter (where astray) as astray, array_agg(attempt) filter (where astray) as astray_attempts
    into started
    from nodes;
    if started.astray is not null then
        select started.others || array_agg(u.id), started.attempts || array_agg(u.attempt) into started.others, started.attempts
        from line_up(started.astray, started.astray_attempts) heads
        cross join unnest(started.astray, started.astray_attempts) u(id, attempt) where u.id = any(heads);
    end if;
    if started.others is not null then
        started.queues := started.queues || start_again(started.others, started.attempts);
    end if;
    if started.queues <> '{}' then
        perform wake(started.queues);
    end if;
end
$$;
comment on function start_nodes is 'Makes nodes ready that waited for others.';
