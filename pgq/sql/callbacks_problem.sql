-- callbacks_problem(callbacks): the field of a node's callbacks that breaks a rule, and the rule; null if none does. Internal: dag_problems_broken, which
-- reports all that is wrong with a DAG and raises nothing.
create function callbacks_problem(callbacks jsonb) returns text[]
language plpgsql stable
as $$
declare
    field text;
    rule text;
begin
    if callbacks is null then
        return null;
    end if;
    perform check_callbacks_object('callbacks', callbacks);
    return null;
exception
    when sqlstate 'PQ001' then
        get stacked diagnostics field = column_name, rule = pg_exception_detail;
        return array[field, rule];
end
$$;
comment on function callbacks_problem is 'What is wrong with callbacks of a node.';
