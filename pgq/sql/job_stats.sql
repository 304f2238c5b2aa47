-- job_stats(since, by, at_most, buckets, filter): what became of the jobs that ended lately and fit, per kind or queue, most jobs first: counts
-- by state, how many were tried more than once (again), how many ended per minute, percentiles of how long they waited and
-- ran, and a series of counts, oldest first, of which each covers an equal part of the time since since_at.
-- wait is the time from enqueueing to the start, delays included, of jobs that were tried once and belong to no DAG;
-- run that of the last attempt. Nodes that no handler runs, and DAGs, are left out.
--
-- Results have no index by time: completed jobs are found by walking down their ids, at most at_most of them, until 5,000
-- in turn had ended before. What did not complete is found by its index, however old its id. exact is false where the walk
-- stopped at at_most; the figures are then of the time since since_at, as far as the newest jobs go. Locks nothing.
-- filter: which jobs, as in select_jobs. Raises PQ001 when an argument breaks a rule.
-- roles: operator, reader
create function job_stats(
    since interval default '1 hour', by text default 'kind', at_most integer default 100000, buckets integer default 20, filter jsonb default '{}')
returns table (
    name text, jobs bigint, completed bigint, failed bigint, cancelled bigint, expired bigint, skipped bigint, again bigint,
    per_minute double precision, wait_p50 interval, wait_p95 interval, wait_p99 interval,
    run_p50 interval, run_p95 interval, run_p99 interval, run_max interval,
    series bigint[], since_at timestamptz, until_at timestamptz, exact boolean)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    wanted constant record := read_filter(filter);
    step constant integer := 5000;
    until constant timestamptz := statement_timestamp();
    start timestamptz;
    lowest bigint := 9223372036854775807;
    looked integer := 0;
    cut boolean := true;
    batch record;
begin
    if by is null or by not in ('kind', 'queue') then
        perform invalid('by', 'must be kind or queue');
    elsif since is null or since <= interval '0' or since > interval '100 years' then
        perform invalid('since', 'must be more than 0 and at most 100 years');
    elsif at_most is null or at_most not between 1 and 1000000 then
        perform invalid('at_most', 'must be 1 to 1000000');
    elsif buckets is null or buckets not between 1 and 1000 then
        perform invalid('buckets', 'must be 1 to 1000');
    end if;
    start := until - since;
    while looked < at_most loop
        select count(*) as rows, min(f.job_id) as first, count(*) filter (where f.finished_at >= start) as young into batch
        from (select job_id, finished_at from results where job_id < lowest order by job_id desc limit least(step, at_most - looked)) f;
        lowest := coalesce(batch.first, lowest);
        looked := looked + batch.rows;
        cut := batch.rows >= step and batch.young > 0 or batch.rows > 0 and looked >= at_most;
        exit when not cut;
    end loop;
    cut := cut and exists (select from results where job_id < lowest);
    if cut then
        start := greatest(start, (
            select min(f.finished_at) from (select * from results where job_id >= lowest offset 0) f where f.finished_at >= start));
    end if;
    return query
        with ended as (
            select f.* from (select * from results where job_id >= lowest offset 0) f where f.finished_at >= start
            union all
            select f.*
            from queue_names() n(queue),
                 unnest(array['failed', 'cancelled', 'skipped', 'expired']) t(state),
                 lateral (
                     (select * from results
                      where queue = n.queue and state = t.state and finished_at >= start and state <> 'completed' and dag_id is null
                      order by finished_at desc limit job_stats.at_most)
                     union all
                     (select * from results
                      where queue = n.queue and state = t.state and finished_at >= start and state <> 'completed' and dag_id is not null
                      order by finished_at desc limit job_stats.at_most)) f
            where f.job_id < lowest
        ), known as materialized (
            select case job_stats.by when 'kind' then j.kind else f.queue end as name, f.state, f.attempt,
                   case when f.attempt = 1 and f.dag_id is null then greatest(f.claimed_at - j.created_at, interval '0') end as wait,
                   greatest(f.finished_at - f.claimed_at, interval '0') as run,
                   least(buckets, 1 + floor(extract(epoch from f.finished_at - start) * buckets
                                            / greatest(extract(epoch from until - start), 0.000001))::integer) as bucket
            from ended f
            cross join lateral (select * from jobs where id = f.job_id offset 0) j
            where j.role is null
              and (wanted.queues is null or j.queue = any(wanted.queues))
              and (wanted.kinds is null or j.kind = any(wanted.kinds))
              and (wanted.groups is null or j.group_name = any(wanted.groups))
              and (wanted.states is null or f.state = any(wanted.states))
              and (wanted.tags is null or j.tags @> wanted.tags)
              and (wanted.ids is null or j.id = any(wanted.ids))
              and (wanted.dags is null or j.dag_id = any(wanted.dags))
              and (wanted.workers is null or f.worker_id = any(wanted.workers))
              and (wanted.since is null or j.created_at >= wanted.since)
              and (wanted.until is null or j.created_at < wanted.until)
              and (wanted.after is null or j.id > wanted.after)
              and (wanted.before is null or j.id < wanted.before)
              and (wanted.args is null or j.args @> wanted.args)
              and (wanted.metadata is null or j.metadata @> wanted.metadata)
              and (wanted.path_keys is null or args_fit(j.args, wanted.path_keys, wanted.path_values))
              and (wanted.error is null or strpos(f.error, wanted.error) > 0)
              and (wanted.fingerprints is null or error_fingerprint(coalesce(f.error, '')) = any(wanted.fingerprints))
        ), figures as (
            select k.name, count(*) as jobs,
                   count(*) filter (where state = 'completed') as completed, count(*) filter (where state = 'failed') as failed,
                   count(*) filter (where state = 'cancelled') as cancelled, count(*) filter (where state = 'expired') as expired,
                   count(*) filter (where state = 'skipped') as skipped, count(*) filter (where attempt > 1) as again,
                   percentile_disc(array[0.5, 0.95, 0.99]) within group (order by wait) as waits,
                   percentile_disc(array[0.5, 0.95, 0.99, 1]) within group (order by run) as runs
            from known k
            group by 1
        ), counted as (
            select name, bucket, count(*) as jobs from known group by 1, 2
        )
        select f.name, f.jobs, f.completed, f.failed, f.cancelled, f.expired, f.skipped, f.again,
               f.jobs * 60 / greatest(extract(epoch from until - start), 0.001)::double precision,
               f.waits[1], f.waits[2], f.waits[3], f.runs[1], f.runs[2], f.runs[3], f.runs[4],
               array(select coalesce(c.jobs, 0)
                     from generate_series(1, buckets) b
                     left join counted c on c.name = f.name and c.bucket = b
                     order by b),
               start, until, not cut
        from figures f
        order by f.jobs desc, f.name;
end
$$;
comment on function job_stats is 'What became of the jobs that ended lately, per kind or queue.';
