-- dag_answer(dag_id, node, output, error): ends an external or sleeping node by its name. Internal: dag_complete and dag_fail.
create function dag_answer(dag_id bigint, node text, output jsonb, error text) returns text
language plpgsql
as $$
#variable_conflict use_column
declare
    target record;
begin
    select j.id, j.role into target from jobs j where j.dag_id = dag_answer.dag_id and j.name = dag_answer.node;
    if not found then
        raise exception using errcode = 'PQ004',
            message = format('DAG %s has no node %s', dag_answer.dag_id, coalesce(to_json(dag_answer.node)::text, 'null'));
    elsif target.role is null or target.role not in ('external', 'sleep') then
        perform invalid('node', format('must be an external or sleeping one; %s is not', to_json(dag_answer.node)));
    end if;
    return answer_node(target.id, dag_answer.output, dag_answer.error);
end
$$;
comment on function dag_answer is 'Ends an external or sleeping node by its name.';
