-- lock_dag(dag_id): locks a DAG for verbs that change many of its nodes. Raises PQ004 when there is no such DAG.
-- Internal. Locks: the DAG's advisory lock.
create function lock_dag(dag_id bigint) returns void
language plpgsql
as $$
begin
    perform lock_dags(array[dag_id]);
    if not exists (select from jobs j where j.id = lock_dag.dag_id and j.role = 'dag' and j.dag_id is null) then
        raise exception using errcode = 'PQ004', message = format('there is no DAG %s', coalesce(lock_dag.dag_id::text, 'null'));
    end if;
end
$$;
comment on function lock_dag is 'Locks a DAG for verbs that change many of its nodes.';
