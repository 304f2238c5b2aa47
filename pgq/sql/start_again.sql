-- start_again(job_ids, attempts): makes nodes ready that were tried before, with seqs of their own, and schedules those that
-- have a delay of which nothing has passed, or a time of their own. Internal: start_nodes, which took them out of waiting. Returns the queues of those that are ready.
create function start_again(job_ids bigint[], attempts integer[]) returns text[]
language sql
as $$
    with nodes as materialized (
        select j.id, j.queue, j.priority, j.kind, n.attempt,
               case when n.attempt = 0 then coalesce(now() + (j.spec ->> 'delay')::interval, (j.spec ->> 'run_at')::timestamptz) end as run_at
        from unnest(job_ids, attempts) n(id, attempt)
        cross join lateral (select id, queue, priority, kind, spec from jobs where jobs.id = n.id offset 0) j
    ), later as (
        insert into scheduled (job_id, queue, run_at, attempt)
        select id, queue, run_at, attempt from nodes where run_at > now()
    ), again as (
        insert into ready (queue, priority, seq, job_id, attempt, kind, since)
        select queue, priority, nextval('jobs_id_seq'), id, attempt, kind, now() from nodes where run_at is null or run_at <= now()
    )
    select array_agg(distinct queue) from nodes where run_at is null or run_at <= now()
$$;
comment on function start_again is 'Makes nodes ready that were tried before.';
