-- dag_levels(dag_id): the level of each node: 0 for those without parents, else one more than the highest of its
-- parents', so that nodes of one level could run at the same time. Ordered by level and id. Hidden gates and sub-DAGs
-- take no level of their own: what waits for a sub-DAG is one above its last node, as is the sub-DAG itself; items
-- count as their map. Raises PQ004 when there is no such DAG. Reads the nodes and edges of the DAG once. Locks nothing.
-- roles: operator, reader
create function dag_levels(dag_id bigint)
returns table (name text, level integer)
language plpgsql stable security definer set search_path from current
set jit = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    root constant jobs := dag_graph_root(dag_levels.dag_id);
    names text[];
    heights integer[];   -- what a node adds to the levels of its children: 1, or 0 for gates and sub-DAGs
    parents integer[];   -- edges, in the order of their parents; nodes are numbered from 1
    children integer[];
    first_edges integer[];
    pending integer[];   -- how many parents have no level yet
    levels integer[];
    queue integer[];     -- nodes whose parents all have levels
    taken integer := 0;
    node integer;
    child integer;
    edge integer;
begin
    with nodes as materialized (
        select id, name, role, (row_number() over (order by id))::integer as place
        from jobs
        where dag_id = root.id and right(name, 1) <> ']'
    ), links as materialized (
        select p.place as parent, c.place as child
        from nodes p
        cross join lateral (select child_id from edges where parent_id = p.id offset 0) e
        join nodes c on c.id = e.child_id
    )
    select (select array_agg(name order by place) from nodes),
           (select array_agg(case when role in ('gate', 'dag') then 0 else 1 end order by place) from nodes),
           (select array_agg(parent order by parent, child) from links),
           (select array_agg(child order by parent, child) from links)
    into names, heights, parents, children;
    if names is null then
        return;
    end if;
    first_edges := array_fill(0, array[cardinality(names)]);
    pending := array_fill(0, array[cardinality(names)]);
    levels := array_fill(0, array[cardinality(names)]);
    queue := array_fill(0, array[cardinality(names)]);
    for i in 1 .. coalesce(cardinality(parents), 0) loop
        if first_edges[parents[i]] = 0 then
            first_edges[parents[i]] := i;
        end if;
        pending[children[i]] := pending[children[i]] + 1;
    end loop;
    for i in 1 .. cardinality(names) loop
        if pending[i] = 0 then
            taken := taken + 1;
            queue[taken] := i;
        end if;
    end loop;
    for i in 1 .. cardinality(names) loop
        node := queue[i];
        exit when node = 0; -- cannot be: the graph has no cycles
        edge := first_edges[node];
        while edge > 0 and parents[edge] = node loop
            child := children[edge];
            levels[child] := greatest(levels[child], levels[node] + heights[node]);
            pending[child] := pending[child] - 1;
            if pending[child] = 0 then
                taken := taken + 1;
                queue[taken] := child;
            end if;
            edge := edge + 1;
        end loop;
    end loop;
    return query
        select u.name, u.level
        from unnest(names, levels) with ordinality u(name, level, place)
        where u.name not like '%/(start)'
        order by u.level, u.place;
end
$$;
comment on function dag_levels is 'The levels of the nodes of a DAG.';
