-- select_jobs(filter, at_most, newest_first): ids of jobs that fit all fields of the filter, in the order of their ids, and
-- where to go on: next is the filter's "after" ("before" with newest_first) of the next call, null at the end. A call looks
-- at a bounded number of jobs: it may find fewer than at_most, or none, and still have a next.
--
--   select * from pgq.select_jobs('{"queues": ["mail"], "states": ["failed"], "error": "timeout"}', 100);
--
-- Fields: queues, kinds, groups, states, fingerprints (of errors), ids, workers (that have it or had it last), dags (whose nodes
-- they are): arrays, one of which it is; an empty array fits nothing. tags: all of which it has. since, until: enqueued
-- from, and before, these times. args, metadata: contained in the job's. paths: [{"path": ["order", "id"], "in": [42]}],
-- what args have there. error: a part of the error's text. after, before: only higher, lower ids.
-- Raises PQ001 naming the field that is not known or cannot be read, 42501 for args and paths where the caller sees no payloads.
-- roles: operator, reader
create function select_jobs(filter jsonb default '{}', at_most integer default 1000, newest_first boolean default false)
returns table (job_ids bigint[], next bigint)
language plpgsql stable security definer set search_path from current
set plan_cache_mode = force_custom_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    f constant record := read_filter(filter);
    wanted text[] := f.states; -- null: any
    streams text[];
    horizon bigint;
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    if wanted is null and (f.error is not null or f.fingerprints is not null) then
        wanted := '{failed,cancelled,skipped,expired}'; -- those that have errors
    end if;
    streams := job_streams(wanted, f.queues, f.ids, f.dags, newest_first);
    execute format($query$
        with looked as materialized (
            %s
        ), ends as (
            select %s(id) as last from looked group by stream having count(*) >= $17
        ), edge as materialized (
            select %s(last) as id from ends
        ), found as (
            select c.id
            from (select distinct l.id from looked l, edge e where e.id is null or l.id %s e.id order by 1 %s) c
            cross join lateral (select * from jobs where jobs.id = c.id offset 0) j
            where ($1 is null or j.queue = any($1))
              and ($2 is null or j.kind = any($2))
              and ($20 is null or j.group_name = any($20))
              and ($4 is null or j.tags @> $4)
              and ($6 is null or j.id = any($6))
              and ($8 is null or j.dag_id = any($8))
              and ($9 is null or j.created_at >= $9)
              and ($10 is null or j.created_at < $10)
              and ($11 is null or j.args @> $11)
              and ($12 is null or j.metadata @> $12)
              and ($16 is null or args_fit(j.args, $16, $18))
              and %s
              and ($7 is null or (select r.worker_id from running r where r.job_id = c.id) = any($7)
                  or (select r.worker_id from results r where r.job_id = c.id) = any($7))
              and ($13 is null or (select strpos(r.error, $13) > 0 from results r where r.job_id = c.id))
              and ($5 is null or (select error_fingerprint(coalesce(r.error, '')) from results r where r.job_id = c.id) = any($5))
            order by c.id %s
            limit $19
        )
        select array(select id from found order by id %s), (select id from edge)
        $query$,
        array_to_string(streams, ' union all '),
        case when newest_first then 'min' else 'max' end, case when newest_first then 'max' else 'min' end,
        case when newest_first then '>=' else '<=' end, case when newest_first then 'desc' end,
        case
            when wanted is null then 'true'
            when wanted <@ '{completed,failed,cancelled,skipped,expired}' then '(select r.state from results r where r.job_id = c.id) = any($3)'
            else '(select s.state from job_states s where s.id = c.id) = any($3)'
        end,
        case when newest_first then 'desc' end, case when newest_first then 'desc' end)
    into job_ids, horizon
    using f.queues, f.kinds, wanted, f.tags, f.fingerprints, f.ids, f.workers, f.dags, f.since, f.until, f.args, f.metadata, f.error,
          coalesce(f.after, -1), coalesce(f.before, 9223372036854775807), f.path_keys, 10000, f.path_values, at_most, f.groups;
    next := case when cardinality(job_ids) = at_most then job_ids[at_most] else horizon end;
    return next;
end
$$;
comment on function select_jobs is 'Ids of jobs that fit a filter, and where to go on.';
