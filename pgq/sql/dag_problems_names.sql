-- dag_problems_names(names, options, dag_output, dag_id): what is wrong with the names of nodes, and with the sub-DAGs that
-- they are in; index is that of the node, null for the DAG. Internal: dag_problems.
-- Elements that are no objects have no options; names that are no strings are null.
create function dag_problems_names(names text[], options jsonb[], dag_output text, dag_id bigint)
returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    is_nested constant boolean := exists (select from unnest(names) name where strpos(name, '/') > 0);
begin
    return query
        select n.index, case when n.options is null then 'node' else 'name' end, case
            when n.options is null then 'must be a JSON object'
            when n.name is null or length(n.name) not between 1 and 200 then 'must be a string of 1 to 200 characters'
            when n.name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then 'must not have control characters'
            when n.name ~ '[][()]' then 'must not have brackets or parentheses'
            else 'must not have an empty part before or after a slash' end
        from unnest(names, options) with ordinality n(name, options, index)
        where n.name is null or length(n.name) > 200
           or n.name collate "C" !~ '^[^][()/\u0001-\u001F\u007F-\u009F]+(/[^][()/\u0001-\u001F\u007F-\u009F]+)*$';
    return query
        select min(n.index), 'name', format('is given to %s nodes', count(*))
        from unnest(names) with ordinality n(name, index)
        where n.name is not null
        group by n.name collate "C"
        having count(*) > 1;
    if dag_id is not null then
        return query
            select n.index, 'name', 'is that of a node that exists already'
            from unnest(names) with ordinality n(name, index)
            where exists (select from jobs j where j.dag_id = dag_problems_names.dag_id and j.name = n.name offset 0);
    end if;
    if is_nested then
        return query
            select n.index, 'name', format('needs a node %s of type dag', to_json(left(n.scope, 200)))
            from (select index, left(name, -strpos(reverse(name), '/')) as scope
                  from unnest(names) with ordinality n(name, index) where strpos(name, '/') > 1) n
            left join (select distinct name from unnest(names, options) s(name, options) where options ->> 'type' = 'dag') s on s.name = n.scope
            where s.name is null
              and not exists (select from jobs j where j.dag_id = dag_problems_names.dag_id and j.name = n.scope and j.role = 'dag' offset 0);
    end if;
    return query
        select s.index, 'type', format('dag needs nodes inside, with names like %s', to_json(left(s.name, 200) || '/a'))
        from unnest(names, options) with ordinality s(name, options, index)
        where s.options ->> 'type' = 'dag' and s.name is not null
          and s.name not in (select left(name, -strpos(reverse(name), '/')) from unnest(names) name where strpos(name, '/') > 0);
    return query
        select o.index, 'output', case
            when o.index is null then format('must name a node of the DAG; %s is none', to_json(left(o.output, 200)))
            else format('must name a node inside; %s is none', to_json(left(o.output, 200))) end
        from (select null::bigint as index, '' as name, dag_output as output where dag_output is not null
              union all
              select s.index, s.name || '/', s.options ->> 'output'
              from unnest(names, options) with ordinality s(name, options, index)
              where s.options ->> 'type' = 'dag' and jsonb_typeof(s.options -> 'output') = 'string') o
        where not starts_with(o.output, o.name)
           or o.output not in (select name from unnest(names) name where name is not null);
end
$$;
comment on function dag_problems_names is 'What is wrong with the names of nodes.';
