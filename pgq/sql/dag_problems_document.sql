-- dag_problems_document(document, is_extension): what is wrong with a DAG document without its nodes. Internal: dag_problems.
-- A document that extends a DAG has nodes only.
create function dag_problems_document(document jsonb, is_extension boolean) returns table (field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    known constant text[] := '{name,key,queue,priority,deadline,on_failure,output,metadata,tags,result_ttl}';
    unknown text[];
begin
    if jsonb_typeof(document) is distinct from 'object' then
        return query select 'spec', 'must be a JSON object';
        return;
    end if;
    unknown := array(select key from jsonb_object_keys(document) key where key <> all(known));
    return query
        select left(key, 128), case when key = any(known) then 'must not be given to extend a DAG' else 'is not a field of a DAG' end
        from jsonb_object_keys(document) key
        where is_extension or key = any(unknown);
    if not is_extension then
        return query
            select case field when 'kind' then 'name' when 'ttl' then 'deadline' else field end, rule
            from dag_problems_values(array[
                document - unknown - '{name,deadline}'::text[]
                || jsonb_build_object('kind', document -> 'name', 'ttl', document -> 'deadline')], true);
    end if;
end
$$;
comment on function dag_problems_document is 'What is wrong with a DAG document without its nodes.';
