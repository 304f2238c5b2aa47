-- queue_names(): the names of all queues that are registered or hold jobs, in order. Walks the indexes from
-- name to name, so that the cost grows with the number of queues and not with that of jobs. Internal.
create function queue_names() returns setof text
language sql stable
set jit = off set enable_seqscan = off
as $$
    with recursive in_ready as (
        (select queue from ready order by queue limit 1)
        union all
        select (select r.queue from ready r where r.queue > i.queue order by r.queue limit 1) from in_ready i where i.queue is not null
    ), in_scheduled as (
        (select queue from scheduled order by queue limit 1)
        union all
        select (select s.queue from scheduled s where s.queue > i.queue order by s.queue limit 1) from in_scheduled i where i.queue is not null
    ), in_results as (
        (select queue from results where state <> 'completed' and dag_id is null order by queue limit 1)
        union all
        select (select f.queue from results f
                where f.state <> 'completed' and f.dag_id is null and f.queue > i.queue order by f.queue limit 1)
        from in_results i where i.queue is not null
    ), in_nodes as (
        (select queue from results where state <> 'completed' and dag_id is not null order by queue limit 1)
        union all
        select (select f.queue from results f
                where f.state <> 'completed' and f.dag_id is not null and f.queue > i.queue order by f.queue limit 1)
        from in_nodes i where i.queue is not null
    )
    select name from queues where name <> '*'
    union select queue from in_ready where queue is not null
    union select queue from in_scheduled where queue is not null
    union select queue from in_results where queue is not null
    union select queue from in_nodes where queue is not null
    order by 1
$$;
comment on function queue_names is 'Names of all queues that are registered or hold jobs.';
