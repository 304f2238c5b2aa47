-- dag_retry(dag_id, mode, nodes): runs parts of a DAG again, in place; what has succeeded is kept, items of maps as well.
--   failed      nodes that failed, were cancelled or expired, and what was skipped for that
--   downstream  the same, and all that comes after them
--   from        the nodes named, and all that comes after them
--   all         every node
-- nodes: names or patterns ("*"); for failed and downstream they choose among the failed ones (null: all of them).
-- Returns the jobs that were reset; none: there was nothing to do. Jobs that run or wait at the moment are left alone.
-- Raises PQ001 for a mode that is none of these, PQ004 for an unknown DAG or node.
-- Locks: the chores, the DAG, then what dag_reset locks.
-- roles: operator
create function dag_retry(dag_id bigint, mode text default 'failed', nodes text[] default null) returns setof bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    chosen bigint[];
begin
    if mode is null or mode not in ('failed', 'downstream', 'from', 'all') then
        perform invalid('mode', 'must be failed, downstream, from or all');
    elsif mode = 'from' and coalesce(nodes, '{}') = '{}' then
        perform invalid('nodes', 'must name a node to retry from');
    end if;
    perform pg_advisory_xact_lock(advisory_key('chores'));
    perform lock_dag(dag_id);
    chosen := case when nodes is null then array(select j.id from jobs j where j.dag_id = dag_retry.dag_id)
                   else dag_named(dag_id, nodes) end;
    if mode in ('failed', 'downstream') then
        chosen := chosen || array(select m from members_of(chosen) m);
        chosen := array(
            select f.job_id from results f
            where f.job_id = any(chosen) and f.state in ('failed', 'cancelled', 'expired')
            order by 1);
    end if;
    if mode in ('from', 'downstream') then
        chosen := array(select d from dag_downstream(chosen || array(select m from members_of(chosen) m)) d);
    end if;
    return query select unnest(dag_reset(chosen));
end
$$;
comment on function dag_retry is 'Runs parts of a DAG again, in place.';
