-- dag_problems_subs(names, options, oddly_named, subs, dag_id, dag_output): nodes that are in a sub-DAG that is none, sub-DAGs
-- (subs) without nodes, and outputs that are no nodes; index is that of the node, null for the DAG. Internal: dag_problems.
-- The output of a sub-DAG is named without the sub-DAG's own name. Names with a slash are among the odd ones.
create function dag_problems_subs(names text[], options jsonb[], oddly_named bigint[], subs bigint[], dag_id bigint, dag_output text)
returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
begin
    if oddly_named <> '{}' then
        return query
            select n.index, 'name', format('needs a node %s of type dag', to_json(left(n.scope, 200)))
            from (select index, left(names[index], -strpos(reverse(names[index]), '/')) as scope
                  from unnest(oddly_named) o(index) where strpos(names[index], '/') > 1) n
            where n.scope not in (select names[index] from unnest(subs) s(index) where names[index] is not null)
              and not exists (
                  select from jobs j
                  where j.dag_id = dag_problems_subs.dag_id and j.name = n.scope and j.role = 'dag' offset 0);
    end if;
    if subs <> '{}' then
        return query
            select s.index, 'type', format('dag needs nodes inside, with names like %s', to_json(left(names[s.index], 200) || '/a'))
            from unnest(subs) s(index)
            where names[s.index] not in (
                select left(names[index], -strpos(reverse(names[index]), '/'))
                from unnest(oddly_named) o(index) where strpos(names[index], '/') > 0);
    end if;
    return query
        select o.index, 'output', format('must name a node%s; %s is none',
                                         case when o.index is null then ' of the DAG' else ' inside' end, to_json(left(o.output, 200)))
        from (select null::bigint as index, '' as path, dag_output as output where dag_output is not null
              union all
              select s.index, names[s.index] || '/', options[s.index] ->> 'output'
              from unnest(subs) s(index) where jsonb_typeof(options[s.index] -> 'output') = 'string') o
        where o.path || o.output not in (select name from unnest(names) name where name is not null);
end
$$;
comment on function dag_problems_subs is 'What is wrong with sub-DAGs and outputs.';
