-- latest_events(queues, kinds, types, job_ids, at_most, since, until): the latest events that fit all that is given (null: any), in order of id.
-- Without job_ids it looks at the latest 100,000 events, those that fit or not. Locks nothing.
-- Raises PQ001 when at_most is not 1 to 10,000.
-- roles: operator, reader
create function latest_events(
    queues text[] default null, kinds text[] default null, types text[] default null, job_ids bigint[] default null,
    at_most integer default 100, since timestamptz default null, until timestamptz default null)
returns table (id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query
        select f.* from (
            select e.id, e.job_id, e.queue, e.type, e.attempt, e.worker_id, e.at, e.data,
                   coalesce(j.kind, case e.type when 'deleted' then e.data ->> 'kind' end) as kind
            from (
                (select * from events where job_ids is null order by id desc limit 100000)
                union all
                (select * from events where job_ids is not null and job_id = any(job_ids))
            ) e
            left join lateral (select jobs.kind from jobs where jobs.id = e.job_id offset 0) j on true
            where (queues is null or e.queue = any(queues))
              and (types is null or e.type = any(types))
              and (kinds is null or coalesce(j.kind, case e.type when 'deleted' then e.data ->> 'kind' end) = any(kinds))
              and (since is null or e.at >= since)
              and (until is null or e.at < until)
            order by e.id desc
            limit at_most) f
        order by f.id;
end
$$;
comment on function latest_events is 'The latest events that fit.';
