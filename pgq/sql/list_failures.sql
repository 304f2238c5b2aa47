-- list_failures(queues, kinds, since, at_most, look_at): jobs that failed for good (the dead letters), together by what
-- error_fingerprint says of their errors, kind and queue; most jobs first. error is that of the last one. Looks at the newest
-- look_at failures that fit; where there are more, exact is false. since is the time of the failure; null is any.
-- What failed only since another job did (a DAG whose node failed) is left out.
-- roles: operator, reader
create function list_failures(
    queues text[] default null, kinds text[] default null, since timestamptz default null, at_most integer default 100,
    look_at integer default 10000)
returns table (
    fingerprint text, kind text, queue text, jobs bigint, first_at timestamptz, last_at timestamptz, last_job_id bigint,
    error text, exact boolean)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
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
            cross join lateral (select kind, queue from jobs where jobs.id = l.job_id offset 0) j
            cross join lateral (select error, cause_id from results where results.job_id = l.job_id offset 0) f
            where f.cause_id is null and (list_failures.kinds is null or j.kind = any(list_failures.kinds))
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
