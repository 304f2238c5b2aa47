-- list_failures(queues, kinds, since, at_most, look_at, until, filter): jobs that failed for good (the dead letters), together by what
-- error_fingerprint says of their errors, kind and queue; most jobs first. error is that of the last one. Looks at the newest
-- look_at failures of these queues and since then, of which it lists those that fit the rest; where there are more, exact is false. since and
-- until are times of the failure, from and before them; null is any. filter: what else the jobs must fit, as in select_jobs.
-- What failed only since another job did (a DAG whose node failed) is left out.
-- roles: operator, reader
create function list_failures(
    queues text[] default null, kinds text[] default null, since timestamptz default null, at_most integer default 100,
    look_at integer default 10000, until timestamptz default null, filter jsonb default '{}')
returns table (
    fingerprint text, kind text, queue text, jobs bigint, first_at timestamptz, last_at timestamptz, last_job_id bigint,
    error text, exact boolean)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    wanted constant record := read_filter(filter);
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    elsif look_at is null or look_at not between 1 and 1000000 then
        perform invalid('look_at', 'must be 1 to 1000000');
    end if;
    return query
        with looked as materialized (
            select * from newest_failures(list_failures.queues, list_failures.since, look_at + 1)
        ), failed as materialized (
            select l.job_id, l.finished_at, j.kind, j.queue, error_fingerprint(coalesce(f.error, '')) as fingerprint
            from (select * from looked limit look_at) l
            cross join lateral (select * from jobs where jobs.id = l.job_id offset 0) j
            cross join lateral (select * from results where results.job_id = l.job_id offset 0) f
            where f.cause_id is null and (list_failures.kinds is null or j.kind = any(list_failures.kinds))
              and (list_failures.until is null or l.finished_at < list_failures.until)
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
        ), alike as (
            select fingerprint, kind, queue, count(*) as jobs, min(finished_at) as first_at, max(finished_at) as last_at,
                   (array_agg(job_id order by finished_at desc, job_id desc))[1] as last_job_id
            from failed group by fingerprint, kind, queue
        )
        select a.fingerprint, a.kind, a.queue, a.jobs, a.first_at, a.last_at, a.last_job_id, f.error,
               (select count(*) from looked) <= look_at
        from (select * from alike order by jobs desc, last_at desc limit at_most) a
        cross join lateral (select error from results where results.job_id = a.last_job_id offset 0) f
        order by a.jobs desc, a.last_at desc;
end
$$;
comment on function list_failures is 'Jobs that failed for good, together by fingerprint, kind and queue.';
