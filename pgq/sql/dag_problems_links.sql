-- dag_problems_links(names, options, afters, oddly_named, subs, maps, dag_id): what is wrong with what nodes come after, and with
-- what maps map over; index is that of the node. Internal: dag_problems. To extend a DAG, its nodes may be named, too.
--
-- Mostly all entries of "after" are names of nodes of the document: first they are all read as such. If that is not so, they
-- are looked at one by one. (No name begins with a brace then: an entry's text cannot be taken for another's name.)
create function dag_problems_links(
    names text[], options jsonb[], afters jsonb[], oddly_named bigint[], subs bigint[], maps bigint[], dag_id bigint)
returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    children bigint[]; -- one element per entry of "after", then one per "over"
    parents bigint[]; -- the node of the document that the entry names; null when it names none
    entries jsonb[];
    ids bigint[]; -- the job that it names instead: by its id, or a node that the DAG has already
    last_after integer;
    is_ordered boolean; -- everything comes after earlier elements
    seen bigint[] := array_fill(0::bigint, array[cardinality(names)]);
begin
    select array_agg(e.child), array_agg(n.index), bool_and(n.index < e.child) into children, parents, is_ordered
    from (select a.index as child, jsonb_array_elements_text(a.after) as name
          from unnest(afters) with ordinality a(after, index)
          where jsonb_typeof(a.after) = 'array' offset 0) e
    left join unnest(names) with ordinality n(name, index) on n.name = e.name;
    if maps <> '{}' or array_position(parents, null) is not null
       or exists (select from unnest(oddly_named) o where starts_with(names[o], '{')) then
        select array_agg(e.child), array_agg(e.entry), count(*) filter (where not e.is_over) into children, entries, last_after
        from (select a.index as child, jsonb_array_elements(a.after) as entry, false as is_over
              from unnest(afters) with ordinality a(after, index)
              where jsonb_typeof(a.after) = 'array'
              union all
              select m.index, options[m.index] -> 'over', true
              from unnest(maps) m(index)
              where jsonb_typeof(options[m.index] -> 'over') = 'string') e;
        select array_agg(n.index order by e.place), bool_and(n.index < children[e.place]) into parents, is_ordered
        from (select place, dag_problems_node_of(entry) as name from unnest(entries) with ordinality u(entry, place) offset 0) e
        left join (select name, min(index) as index from unnest(names) with ordinality u(name, index) group by name) n on n.name = e.name;
        ids := array(
            select case when l.parent is null then coalesce(
                (select j.id from jobs j where j.id = dag_problems_job_of(l.entry) offset 0),
                (select j.id from jobs j
                 where j.dag_id = dag_problems_links.dag_id and j.name = dag_problems_node_of(l.entry)
                   and j.role is distinct from 'gate' offset 0)) end
            from unnest(entries, parents) with ordinality l(entry, parent, place) order by l.place);
        return query
            select children[p.place], case when p.place > last_after then 'over' else p.field end, p.rule
            from dag_problems_entries(entries, parents, ids) p;
        return query
            select l.child, 'after', format('must not name %s twice', dag_problems_label(entries[min(l.place)]))
            from unnest(children, ids) with ordinality l(child, id, place)
            where l.place <= last_after and l.id is not null
            group by l.child, l.id
            having count(*) > 1;
    end if;
    -- Hash joins hand out the children of a parent one after the other, so the last one seen will do.
    for i in 1 .. coalesce(last_after, cardinality(children), 0) loop
        if seen[parents[i]] = children[i] then
            return query select children[i], 'after', format('must not name %s twice', to_json(left(names[parents[i]], 200)));
        elsif parents[i] is not null then
            seen[parents[i]] := children[i];
        end if;
    end loop;
    if children is null or is_ordered and oddly_named = '{}' and dag_id is null then
        return; -- nothing depends on itself, there are no sub-DAGs to be in, and no cycles
    end if;
    return query
        select p.child, case when p.place > last_after then 'over' else 'after' end, p.rule
        from dag_problems_scopes(names, oddly_named, children, parents, ids, dag_id) p
        union all
        select p.* from dag_problems_order(names, subs, children, parents) p;
end
$$;
comment on function dag_problems_links is 'What is wrong with what nodes come after.';
