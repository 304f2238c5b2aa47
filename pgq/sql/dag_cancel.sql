-- dag_cancel(dag_id, nodes, downstream, reason): cancels a DAG, or only some nodes of it by their names or patterns ("*"), on
-- demand with all that comes after them. What depends on a cancelled node takes it as a failure.
-- Outcome per job that was named (the DAG's own job if none was), as of cancel: cancelled, requested, finished.
-- Raises PQ004 for an unknown DAG or node. Locks: as cancel.
-- roles: operator
create function dag_cancel(dag_id bigint, nodes text[] default null, downstream boolean default false, reason text default null)
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform lock_dag(dag_id);
    if nodes is null then
        return query select c.job_id, c.outcome from cancel(array[dag_id], reason) c;
    elsif downstream then
        return query select c.job_id, c.outcome
                     from cancel(array(select d from dag_downstream(dag_named(dag_id, nodes)) d), reason) c;
    else
        return query select c.job_id, c.outcome from cancel(dag_named(dag_id, nodes), reason) c;
    end if;
end
$$;
comment on function dag_cancel is 'Cancels a DAG or nodes of it.';
