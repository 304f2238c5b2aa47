-- dag_named(dag_id, patterns): the nodes of a DAG with these names, or names that fit these patterns ("*" stands for
-- any characters). Raises PQ004 for one that fits none. Internal.
create function dag_named(dag_id bigint, patterns text[]) returns bigint[]
language plpgsql stable
as $$
#variable_conflict use_column
declare
    pattern text;
    fitting bigint[];
    found_all bigint[] := '{}';
begin
    foreach pattern in array patterns loop
        if strpos(pattern, '*') = 0 then
            fitting := array(select j.id from jobs j where j.dag_id = dag_named.dag_id and j.name = pattern);
        else
            fitting := array(
                select j.id from jobs j
                where j.dag_id = dag_named.dag_id and j.role is distinct from 'gate'
                  and j.name like replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'));
        end if;
        if fitting = '{}' then
            raise exception using errcode = 'PQ004', message = format('DAG %s has no node %s', dag_named.dag_id, to_json(pattern));
        end if;
        found_all := found_all || fitting;
    end loop;
    return array(select distinct id from unnest(found_all) id order by id);
end
$$;
comment on function dag_named is 'Nodes of a DAG by names or patterns.';
