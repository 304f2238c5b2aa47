-- dag_graph_root(dag_id): the job of a DAG. Raises PQ004 when there is no such DAG; nodes and sub-DAGs are none.
-- Internal: what looks at whole DAGs.
create function dag_graph_root(dag_id bigint) returns jobs
language plpgsql stable
as $$
declare
    root jobs;
begin
    select * into root
    from jobs j
    where j.id = dag_graph_root.dag_id and j.role = 'dag' and j.dag_id is null;
    if root.id is null then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no DAG %s', coalesce(dag_graph_root.dag_id::text, 'null'));
    end if;
    return root;
end
$$;
comment on function dag_graph_root is 'The job of a DAG.';
