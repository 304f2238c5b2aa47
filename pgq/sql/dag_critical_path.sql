-- dag_critical_path(dag_id): the chain of nodes that determined when a DAG ended, or, while it is under way, when the node
-- ended that ended last; in order. Found by walking back from that node to the parent that ended last, and so on; of
-- parents of nodes that do not wait for all (any, at_least, one_failed) to the last one that ended before the node began.
-- waited: from the end of the one before, or the submission, to the start of the last attempt; ran: from there to
-- its end. Both together are the time of the whole chain; share is this node's part of it. What no worker
-- runs (answers, sleeps) ran all the time; hidden gates and sub-DAGs are passed over. A parent that is not of this DAG
-- ends the walk.
-- Zero rows: no node has ended. Raises PQ004 when there is no such DAG. Costs a look-up per edge into the chain; under
-- way, one per node besides. Locks nothing.
-- roles: operator, reader
create function dag_critical_path(dag_id bigint)
returns table ("position" integer, name text, job_id bigint, waited interval, ran interval, share double precision)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    root constant jobs := dag_graph_root(dag_critical_path.dag_id);
    chain bigint[] := '{}';
    current record;
begin
    if exists (select from results where job_id = root.id) then
        select root.id as id, root.id as dag_id, null::bigint as map, false as eager, null::timestamptz as began into current;
    else
        select j.id, root.id as dag_id, (j.spec ->> 'map')::bigint as map,
               coalesce(j.rule in ('any', 'at_least', 'one_failed'), false) as eager, f.began
        into current
        from (select id, rule, spec from jobs
              where dag_id = root.id and coalesce(role, '') not in ('gate', 'dag') offset 0) j
        cross join lateral (
            select finished_at, coalesce(claimed_at, finished_at) as began from results
            where job_id = j.id offset 0) f
        order by f.finished_at desc, j.id desc
        limit 1;
        chain := array_remove(array[current.id], null);
    end if;
    -- Clocks: a job may have been claimed in the transaction that completed its parent, which began before that; hence
    -- the tenth of a second.
    while current.id is not null loop
        select p.id, p.dag_id, p.map, p.eager, f.began
        into current
        from (select current.id as child, current.map as map) c
        cross join lateral (
            select parent_id from edges where child_id = coalesce(c.map, c.child) offset 0) e
        cross join lateral (
            select finished_at, coalesce(claimed_at, finished_at) as began from results
            where job_id = e.parent_id offset 0) f
        cross join lateral (
            select id, dag_id, (spec ->> 'map')::bigint as map,
                   coalesce(rule in ('any', 'at_least', 'one_failed'), false) as eager
            from jobs where id = e.parent_id offset 0) p(id, dag_id, map, eager)
        where c.map is null or p.map is distinct from c.map
        order by not current.eager or f.finished_at <= current.began + interval '0.1 s' desc,
                 f.finished_at desc, p.id desc
        limit 1;
        exit when current.id is null;
        chain := current.id || chain;
        exit when current.dag_id is distinct from root.id;
    end loop;
    return query
        with walked as (
            select u.place, j.id, j.role,
                   case when j.dag_id = root.id then j.name else 'job ' || j.id end as name,
                   f.claimed_at,
                   max(f.finished_at) over (order by u.place) as ended,
                   lag(j.spec ->> 'map') over (order by u.place) = j.id::text as after_item
            from unnest(chain) with ordinality u(id, place)
            join jobs j on j.id = u.id
            join results f on f.job_id = u.id
            where coalesce(j.role, '') not in ('gate', 'dag')
        ), shown as (
            select w.*, greatest(root.created_at, lag(w.ended) over (order by w.place)) as before
            from walked w
            where w.role is distinct from 'map' or w.after_item is not true
        ), timed as (
            select s.*, greatest(s.ended, s.before) as until,
                   least(greatest(s.ended, s.before), greatest(s.before, coalesce(
                       s.claimed_at, case when s.role in ('external', 'sleep', 'map') then s.before else s.ended end))) as began
            from shown s
        )
        select (row_number() over (order by t.place))::integer, t.name, t.id, t.began - t.before, t.until - t.began,
               coalesce(extract(epoch from t.until - t.before)
                        / nullif(extract(epoch from max(t.until) over () - root.created_at), 0), 0)::double precision
        from timed t
        order by t.place;
end
$$;
comment on function dag_critical_path is 'The chain of nodes that determined the time of a DAG.';
