-- dag_fork(dag_id, nodes): a new DAG like one that has ended, in which the nodes named (names or patterns), all that comes after
-- them, and what did not succeed run again; the results of the others are taken over. Its id.
-- Raises PQ001 when the DAG has not ended, PQ004 for an unknown DAG or node. Locks: the chores and the DAG.
-- roles: operator
create function dag_fork(dag_id bigint, nodes text[]) returns bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    fork bigint;
    old_ids bigint[];
    new_ids bigint[];
    chosen bigint[];
begin
    if coalesce(nodes, '{}') = '{}' then
        perform invalid('nodes', 'must name a node to fork from');
    end if;
    perform pg_advisory_xact_lock(advisory_key('chores'));
    perform lock_dag(dag_id);
    if not exists (select from results f where f.job_id = dag_fork.dag_id) then
        perform invalid('dag_id', 'must be a DAG that has ended');
    end if;
    perform dag_named(dag_id, nodes);
    old_ids := dag_fork.dag_id || array(select j.id from jobs j where j.dag_id = dag_fork.dag_id order by j.id);
    new_ids := array(select nextval('jobs_id_seq') from generate_series(1, cardinality(old_ids)));
    fork := new_ids[1];
    insert into jobs (id, queue, kind, priority, max_attempts, timeout, backoff, result_ttl, tags, metadata, codec, payload, args,
                      dag_id, name, role, rule, spec, group_name)
    select new_ids[u.place], queue, kind, priority, max_attempts, timeout, backoff, result_ttl, tags, metadata, codec, payload, args,
           case when j.dag_id is not null then fork end, name, role, rule,
           case when j.dag_id is null then spec - 'key' || jsonb_build_object('forked_from', dag_fork.dag_id)
                when spec ? 'map' then spec || jsonb_build_object('map', renumber((spec ->> 'map')::bigint, old_ids, new_ids))
                else spec end,
           group_name
    from unnest(old_ids) with ordinality u(id, place)
    cross join lateral (select * from jobs where jobs.id = u.id offset 0) j;
    insert into edges (parent_id, child_id, soft, condition)
    select renumber(e.parent_id, old_ids, new_ids), new_ids[u.place], e.soft, e.condition
    from unnest(old_ids) with ordinality u(id, place)
    join edges e on e.child_id = u.id;
    insert into maps (job_id, source_id, total, expanded, released, next_item)
    select renumber(m.job_id, old_ids, new_ids), renumber(m.source_id, old_ids, new_ids), total, expanded, expanded,
           new_ids[cardinality(new_ids)] + 1 -- before the items that are still to be added
    from maps m where m.job_id = any(old_ids);
    insert into results (job_id, queue, state, attempt, worker_id, claimed_at, finished_at, codec, payload, output, error, dag_id, cause_id)
    select new_ids[u.place], f.queue, f.state, f.attempt, f.worker_id, f.claimed_at, f.finished_at, f.codec, f.payload, f.output, f.error,
           case when f.dag_id is not null then fork end, renumber(f.cause_id, old_ids, new_ids)
    from unnest(old_ids) with ordinality u(id, place)
    cross join lateral (select * from results where results.job_id = u.id offset 0) f;
    chosen := dag_named(fork, nodes);
    chosen := array(select d from dag_downstream(chosen || array(select m from members_of(chosen) m)) d);
    perform dag_reset(chosen || array(
        select f.job_id from results f
        where f.job_id = any(new_ids) and f.dag_id is not null and f.state in ('failed', 'cancelled', 'expired')));
    return fork;
end
$$;
comment on function dag_fork is 'A new DAG that takes over results of one that has ended.';
