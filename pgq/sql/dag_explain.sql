-- dag_explain(dag_id, node): why a node of a DAG does not run; null for the node: why the DAG has not ended. The answer of
-- explain_job. Raises PQ004 when there is no such DAG or node. Locks nothing.
-- roles: operator, reader
create function dag_explain(dag_id bigint, node text default null)
returns table (reason text, detail text, job_id bigint)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    root constant jobs := dag_graph_root(dag_explain.dag_id);
    id bigint := root.id;
begin
    if node is not null then
        id := (select j.id from jobs j where j.dag_id = root.id and j.name = dag_explain.node);
        if id is null then
            raise exception using
                errcode = 'PQ004',
                message = format('DAG %s has no node %s', root.id, node);
        end if;
    end if;
    return query select e.reason, e.detail, e.job_id from explain_one(id) e;
end
$$;
comment on function dag_explain is 'Why a node of a DAG does not run.';
