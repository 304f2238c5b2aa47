-- ended_places(names, since): ids below which jobs end at the moment, or have ended since that time, in rising order: the last one
-- that ended, those next to the ones that run or are next to be claimed in the queues of these names, and where 100 random
-- ids find that a job has ended since. Each is the id of a result. Internal: ended_per_minute.
create function ended_places(names text[], since timestamptz) returns bigint[]
language sql stable
as $$
    with last as materialized (
        select coalesce((select f.job_id from results f order by f.job_id desc limit 1), 0) as id
    ), probes as materialized (
        select p.top, coalesce(p.finished_at >= since, false) as fresh,
               coalesce(lead(p.finished_at) over (order by p.top) >= since, false) as next_fresh
        from (
            select s.top, (select f.finished_at from results f where f.job_id <= s.id order by f.job_id desc limit 1) as finished_at
            from (select l.id * n / 100 as top, (l.id * (n - random()) / 100)::bigint as id
                  from last l, generate_series(1, 100) n offset 0) s) p
    ), hints as (
        select id from last
        union all
        select max(r.job_id) from running r group by r.queue
        union all
        select h.seq
        from unnest(names) n(queue), generate_series(0, 9) p,
             lateral (select r.seq from ready r where r.queue = n.queue and r.priority = p order by r.seq limit 1) h
        union all
        select top from probes where fresh and not next_fresh
    ), places as (
        select distinct (select f.job_id from results f where f.job_id <= h.id order by f.job_id desc limit 1) as id
        from hints h
    )
    select coalesce(array_agg(id order by id), '{}')
    from (select id from places where id is not null order by id desc limit 50) p
$$;
comment on function ended_places is 'Ids below which jobs end at the moment.';
