-- dag_extend(dag_id, spec): adds nodes to a DAG under way, {"nodes": [...]}, in the caller's transaction: a handler does it before
-- it completes. New nodes may come after existing ones, and ("before") before existing ones that still wait.
-- The DAG ends when they have ended, too. Returns the ids of the nodes in their order.
-- Raises PQ001 with all that is wrong (dag_problems), for a DAG that has ended or is being cancelled, for a node of "before"
-- that waits no more, and for a cycle, be it by way of other DAGs; PQ004 for an unknown DAG. Nothing is written then.
-- Locks: cycles, if new nodes come after other DAGs or nodes of such: several that extend at once could make a cycle that none of
-- them sees; the DAG, and those of the jobs that new nodes come after; what pin locks; rows of waiting by job.
-- What it costs depends on the nodes that are added, not on how many there are.
-- roles: worker, operator
create function dag_extend(dag_id bigint, spec jsonb) returns setof bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    root record;
    outer_ids bigint[];
    followers bigint[];
    sinks bigint[];
    added bigint[];
begin
    outer_ids := array(
        select j.id from jobs j
        where j.id = any(array(
            select trunc(id::numeric)::bigint
            from jsonb_path_query(dag_extend.spec, 'lax $.nodes[*].after[*].job ? (@.type() == "number" && @ >= 1 && @ < 9223372036854775807)') id))
          and (j.dag_id is not null or j.role is not null));
    if outer_ids <> '{}' then
        perform pg_advisory_xact_lock(advisory_key('cycles'));
    end if;
    perform lock_dags(dag_extend.dag_id || outer_ids);
    perform lock_dag(dag_id);
    perform dag_refuse(spec, dag_id);
    select w.* into root from waiting w where w.job_id = dag_extend.dag_id;
    if not found or root.ending is not null then
        perform invalid('dag_id', 'must be a DAG under way');
    end if;
    followers := array(
        select j.id
        from (select distinct b from jsonb_path_query(spec, 'lax $.nodes[*].before[*]') b) n
        cross join lateral (
            select id from jobs where jobs.dag_id = dag_extend.dag_id and name = n.b #>> '{}' offset 0) j);
    -- A sub-DAG that nodes are added to must not end meanwhile, nor what they come before start.
    sinks := array(
        with recursive scopes as (
            select scope_of(n ->> 'name') as scope from jsonb_array_elements(spec -> 'nodes') n
            union
            select scope_of(s.scope) from scopes s
        )
        select j.id
        from scopes s
        cross join lateral (
            select id from jobs where jobs.dag_id = dag_extend.dag_id and name = s.scope and role = 'dag' offset 0) j
        union select dag_extend.dag_id);
    perform w.job_id from waiting w where w.job_id = any(followers || sinks) order by w.job_id for update;
    perform dag_check_open(followers || sinks);
    added := dag_add(dag_id, spec -> 'nodes');
    perform dag_check_cycle('before', followers, added);
    if outer_ids <> '{}' then
        perform dag_check_cycle('after', sinks, added);
    end if;
    update waiting w
    set pending = w.pending + n.more, need_failed = w.need_failed + case when j.rule = 'all_failed' and j.role is distinct from 'dag' then n.more else 0 end
    from (select e.child_id, count(*)::integer as more
          from edges e where e.parent_id = any(added) and e.child_id <> all(added) group by e.child_id) n
    join jobs j on j.id = n.child_id
    where w.job_id = n.child_id;
    perform judge(array(select w.job_id from waiting w where w.job_id = any(added) and (w.pending = 0 or w.eager)));
    perform record_event('extended', root.job_id, root.queue, 0, null, jsonb_build_object('nodes', cardinality(added)));
    return query select unnest(added[1 : jsonb_array_length(spec -> 'nodes')]);
end
$$;
comment on function dag_extend is 'Adds nodes to a DAG under way.';
