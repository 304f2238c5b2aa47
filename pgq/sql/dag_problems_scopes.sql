-- dag_problems_scopes(names, children, parents, ids, dag_id): the dependencies of nodes on themselves, on the sub-DAG that they
-- are in, on nodes inside themselves, and on the DAG itself; place is that of the dependency. Internal: dag_problems_links.
create function dag_problems_scopes(names text[], children integer[], parents integer[], ids bigint[], dag_id bigint)
returns table (child integer, place bigint, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
begin
    return query
        select l.child, l.place, 'must not name itself'
        from unnest(children, parents) with ordinality l(child, parent, place)
        where l.child = l.parent;
    if exists (select from unnest(names) name where strpos(name, '/') > 0) then
        return query
            select l.child, l.place, case
                when starts_with(names[l.child], l.parent || '/') then format('must not name %s, which contains the node', to_json(left(l.parent, 200)))
                else format('must not name %s, which is inside the node', to_json(left(l.parent, 200))) end
            from (select child, names[parent] as parent, place
                  from unnest(children, parents) with ordinality l(child, parent, place)
                  union all
                  select l.child, j.name, l.place
                  from unnest(children, ids) with ordinality l(child, id, place)
                  cross join lateral (
                      select name from jobs j where j.id = l.id and j.dag_id = dag_problems_scopes.dag_id offset 0) j
                  where l.id is not null and dag_id is not null) l
            where starts_with(names[l.child], l.parent || '/') or starts_with(l.parent, names[l.child] || '/');
    end if;
    if dag_id is not null then
        return query
            select l.child, l.place, 'must not name the DAG itself'
            from unnest(children, ids) with ordinality l(child, id, place)
            where l.id = dag_problems_scopes.dag_id;
    end if;
end
$$;
comment on function dag_problems_scopes is 'Dependencies of nodes on themselves and what they are in.';
