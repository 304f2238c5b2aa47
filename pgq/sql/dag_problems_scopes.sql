-- dag_problems_scopes(names, oddly_named, children, parents, ids, dag_id): the dependencies of nodes on themselves, on the
-- sub-DAG that they are in, on nodes inside themselves, and on the DAG itself; place is that of the dependency.
-- Internal: dag_problems_links. Names with a slash are among the odd ones.
create function dag_problems_scopes(
    names text[], oddly_named bigint[], children bigint[], parents bigint[], ids bigint[], dag_id bigint)
returns table (child bigint, place bigint, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
begin
    return query
        select l.child, l.place, 'must not name itself'
        from unnest(children, parents) with ordinality l(child, parent, place)
        where l.child = l.parent;
    if oddly_named <> '{}' then
        return query
            select l.child, l.place, format('must not name %s, which %s', to_json(left(l.parent, 200)),
                                            case when starts_with(names[l.child], l.parent || '/') then 'it is in' else 'is in it' end)
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
