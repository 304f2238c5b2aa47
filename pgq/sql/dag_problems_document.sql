-- dag_problems_document(spec, extending): what is wrong with a DAG document, its nodes aside. Internal: dag_problems.
-- A document that extends a DAG has nodes only.
create function dag_problems_document(spec jsonb, extending boolean) returns table (field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    document_fields constant text[] := '{name,key,queue,priority,deadline,on_failure,output,metadata,tags,result_ttl}';
    renamed constant jsonb := jsonb_build_object('kind', spec -> 'name', 'ttl', spec -> 'deadline');
begin
    if jsonb_typeof(spec) is distinct from 'object' then
        return query select 'spec', 'must be a JSON object';
        return;
    end if;
    return query
        select left(key, 128), case when key = any(document_fields) then 'must not be given to extend a DAG' else 'is not a field of a DAG' end
        from jsonb_object_keys(spec) key
        where key <> 'nodes' and (extending or key <> all(document_fields));
    if not extending then
        return query
            select case field when 'kind' then 'name' when 'ttl' then 'deadline' else field end, rule
            from dag_problems_values(array[
                spec - (array(select key from jsonb_object_keys(spec) key where key <> all(document_fields)) || '{name,deadline}') || renamed], true);
    end if;
    if jsonb_typeof(spec -> 'nodes') is distinct from 'array' then
        return query select 'nodes', 'must be a JSON array';
    elsif jsonb_array_length(spec -> 'nodes') = 0 then
        return query select 'nodes', 'must not be empty';
    elsif jsonb_array_length(spec -> 'nodes') > 1000000 then
        return query select 'nodes', 'must be at most 1000000';
    end if;
end
$$;
comment on function dag_problems_document is 'What is wrong with a DAG document, its nodes aside.';
