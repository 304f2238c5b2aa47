-- dag_problems_order(names, subs, children, parents): the nodes that are in a cycle: of cycles that share nodes one, by its
-- first node; with its path, parent before child. Internal: dag_problems_links. Children come after parents (null: no node of
-- the document); dependencies that are wrong in themselves (dag_problems_scopes) do not count.
--
-- A sub-DAG begins after all that it comes after, its nodes come after its beginning, and itself comes after its nodes. So it
-- has two vertices: its own number, for its end, and that plus the number of nodes, for its beginning.
-- When all dependencies are on earlier elements there is no cycle, and nothing more is done. A sub-DAG then counts as
-- beginning with the first and ending with the last of the nodes inside.
create function dag_problems_order(names text[], subs bigint[], children bigint[], parents bigint[])
returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    size constant integer := cardinality(names);
    is_sub boolean[] := array_fill(false, array[size]);
    scopes bigint[]; -- the innermost sub-DAG of each node
    firsts bigint[];
    lasts bigint[];
    froms integer[];
    tos integer[];
    span record;
    sub bigint;
begin
    if subs = '{}' then
        perform from unnest(children, parents) l(child, parent) where l.parent >= l.child limit 1;
    else
        select array_agg(s.index order by n.index) into scopes
        from (select index, case when strpos(name, '/') > 0 then left(name, -strpos(reverse(name), '/')) end as scope
              from unnest(names) with ordinality n(name, index)) n
        left join (select names[i] as name, min(i) as index from unnest(subs) i where names[i] is not null group by 1) s on s.name = n.scope;
        firsts := array(select generate_series(1::bigint, size));
        lasts := firsts;
        foreach sub in array subs loop
            is_sub[sub] := true;
            firsts[sub] := size + 1;
            lasts[sub] := 0;
        end loop;
        for span in
            select s.scope, min(s.index) as first, max(s.index) as last
            from unnest(scopes, is_sub) with ordinality s(scope, is_sub, index)
            where s.scope is not null and not s.is_sub
            group by s.scope
        loop
            firsts[span.scope] := span.first;
            lasts[span.scope] := span.last;
        end loop;
        foreach sub in array array(select i from unnest(subs) i order by length(names[i]) desc) loop -- inner ones first
            if scopes[sub] is not null then
                firsts[scopes[sub]] := least(firsts[scopes[sub]], firsts[sub]);
                lasts[scopes[sub]] := greatest(lasts[scopes[sub]], lasts[sub]);
            end if;
        end loop;
        perform from unnest(children, parents) l(child, parent) where lasts[l.parent] >= firsts[l.child] limit 1;
    end if;
    if not found then
        return;
    end if;

    select array_agg(l.parent), array_agg(case when is_sub[l.child] then l.child + size else l.child end)
    into froms, tos
    from unnest(children, parents) l(child, parent)
    where l.parent <> l.child
      and (scopes is null
           or not starts_with(names[l.child], names[l.parent] || '/') and not starts_with(names[l.parent], names[l.child] || '/'));
    if scopes is not null then
        select froms || array_agg(e.parent), tos || array_agg(e.child) into froms, tos
        from (select scope + size, case when is_sub[index] then index + size else index end
              from unnest(scopes) with ordinality s(scope, index) where scope is not null
              union all
              select index, scope from unnest(scopes) with ordinality s(scope, index) where scope is not null
              union all
              select i + size, i from unnest(subs) i) e(parent, child);
    end if;
    return query
        select p.index, 'after', 'is in a cycle: ' || p.path
        from dag_cycle(case when scopes is null then size else 2 * size end, coalesce(froms, '{}'), coalesce(tos, '{}')) cycle
        cross join lateral dag_problems_cycle(names, cycle) p;
end
$$;
comment on function dag_problems_order is 'Nodes that are in a cycle.';
