-- dag_problems_links(names, options, afters, dag_id): what is wrong with what nodes come after, and map over; index is that
-- of the node. Internal: dag_problems. To extend a DAG, nodes that it has already may be named, too.
create function dag_problems_links(names text[], options jsonb[], afters jsonb[], dag_id bigint)
returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    children integer[]; -- one element per entry of "after", then one per "over"
    entries jsonb[];
    parents integer[]; -- the node that the entry names; null when it names none
    ids bigint[]; -- the job that it names instead, as a job or a node that exists already
    last_after integer;
    all_are_names boolean;
begin
    return query
        select a.index, 'after', 'must be a JSON array'
        from unnest(afters) with ordinality a(after, index) where jsonb_typeof(a.after) <> 'array';
    select array_agg(e.child), array_agg(e.entry), array_agg(n.index), bool_and(jsonb_typeof(e.entry) = 'string')
    into children, entries, parents, all_are_names
    from (select a.index as child, jsonb_array_elements(a.after) as entry
          from unnest(afters) with ordinality a(after, index)
          where jsonb_typeof(a.after) = 'array' offset 0) e
    left join unnest(names) with ordinality n(name, index) on n.name = dag_problems_node_of(e.entry);
    last_after := coalesce(cardinality(children), 0);
    select children || array_agg(o.child), entries || array_agg(o.entry), parents || array_agg(o.parent)
    into children, entries, parents
    from (select m.index::integer as child, m.options -> 'over' as entry, n.index::integer as parent
          from unnest(options) with ordinality m(options, index)
          left join unnest(names) with ordinality n(name, index) on n.name = m.options ->> 'over'
          where m.options ->> 'type' = 'map' and jsonb_typeof(m.options -> 'over') = 'string') o;
    if children is null then
        return;
    end if;
    if not all_are_names then
        return query
            select children[p.place]::bigint, p.field, p.rule from dag_problems_entries(entries) p;
    end if;
    if array_position(parents, null) is not null then
        ids := array(
            select case when l.parent is null then coalesce(
                (select j.id from jobs j where j.id = dag_problems_job_of(l.entry) offset 0),
                (select j.id from jobs j
                 where j.dag_id = dag_problems_links.dag_id and j.name = dag_problems_node_of(l.entry)
                   and j.role is distinct from 'gate' offset 0)) end
            from unnest(entries, parents) with ordinality l(entry, parent, place) order by l.place);
        return query
            select l.child::bigint, case when l.place > last_after then 'over' else 'after' end, case
                when dag_problems_job_of(l.entry) is not null then format('job %s does not exist', dag_problems_job_of(l.entry))
                else format('must name nodes of the DAG; %s is none', to_json(left(dag_problems_node_of(l.entry), 200))) end
            from unnest(children, entries, parents, ids) with ordinality l(child, entry, parent, id, place)
            where l.parent is null and l.id is null
              and coalesce(dag_problems_node_of(l.entry), dag_problems_job_of(l.entry)::text) is not null;
    end if;
    return query
        select l.child::bigint, 'after', format('must not name %s twice', dag_problems_label(entries[min(l.place)]))
        from unnest(children, parents, ids) with ordinality l(child, parent, id, place)
        where l.place <= last_after and (l.parent is not null or l.id is not null)
        group by l.child, l.parent, l.id
        having count(*) > 1;
    return query
        select p.child::bigint, case when p.place > last_after then 'over' else 'after' end, p.rule
        from dag_problems_scopes(names, children, parents, ids, dag_id) p;
    return query select p.* from dag_problems_order(names, options, children, parents) p;
end
$$;
comment on function dag_problems_links is 'What is wrong with what nodes come after.';
