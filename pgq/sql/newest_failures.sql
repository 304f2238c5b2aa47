-- newest_failures(queues, since, at_most): the newest jobs that failed for good, of these queues (null: of all), not before since (null: ever), latest
-- first. Internal: list_failures.
--
-- Failures have an index per queue by time, none over all. Few are taken of each queue at first; then four times as many of those queues of which even the
-- oldest that was taken is among the newest, until there are none. So where there are many queues most of what is read is also wanted.
create function newest_failures(queues text[], since timestamptz, at_most integer) returns table (job_id bigint, finished_at timestamptz)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    names text[] := array(select distinct q from unnest(coalesce(queues, array(select queue_names()))) q);
    share integer := least(at_most, 2 * at_most / greatest(1, cardinality(names)) + 10);
    newest record;
begin
    select '{}'::bigint[] as ids, '{}'::timestamptz[] as times into newest;
    loop
        with failed as materialized (
            select q as queue, f.*
            from unnest(names) q
            cross join lateral (
                (select r.job_id, r.finished_at from results r
                 where r.queue = q and r.state = 'failed' and r.state <> 'completed' and r.dag_id is null
                   and r.finished_at >= coalesce(newest_failures.since, '-infinity')
                 order by r.finished_at desc limit share)
                union all
                (select r.job_id, r.finished_at from results r
                 where r.queue = q and r.state = 'failed' and r.state <> 'completed' and r.dag_id is not null
                   and r.finished_at >= coalesce(newest_failures.since, '-infinity')
                 order by r.finished_at desc limit share)
                order by finished_at desc limit share) f
        ), known as materialized (
            select * from (
                select job_id, finished_at from unnest(newest.ids, newest.times) k(job_id, finished_at)
                union
                select job_id, finished_at from failed) u
            order by finished_at desc, job_id desc limit at_most
        ), cut as (
            select case when count(*) = at_most then min(finished_at) else '-infinity' end as at from known
        ), unread as (
            select f.queue from failed f cross join cut group by f.queue, cut.at
            having count(*) = share and min(f.finished_at) >= cut.at
        )
        select array_agg(k.job_id order by k.finished_at desc, k.job_id desc) as ids,
               array_agg(k.finished_at order by k.finished_at desc, k.job_id desc) as times,
               array(select u.queue from unread u) as names
        into newest
        from known k;
        exit when newest.names = '{}' or share = at_most;
        names := newest.names;
        share := least(at_most, 4 * share);
    end loop;
    return query select * from unnest(newest.ids, newest.times);
end
$$;
comment on function newest_failures is 'The newest jobs that failed for good.';
