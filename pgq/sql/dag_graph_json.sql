-- dag_graph_json(dag_id, max_nodes): what a picture of a DAG shows, for dag_mermaid, dag_dot and others that draw:
-- {"nodes": [...], "edges": [...], "more": 12}. Raises PQ004 when there is no such DAG. Reads all nodes of the DAG, and the
-- edges of those that are shown. Locks nothing.
--
-- nodes: id (n0, n1 ... in the order of the job ids, so that they stay the same when nodes are added; j17 for job 17, which is
--   not of this DAG), job_id, name, label (the last part of the name), role, rule, at_least, state (held for one that
--   waits and is held), done and total (of the items of a map, once known), depth (0 at the top) and empty (true for a
--   sub-DAG of which no node is shown); for sub-DAGs first and last: ids of nodes inside. Sub-DAGs are
--   followed by their nodes. The first max_nodes by job id are shown, and the sub-DAGs that these are in;
--   gates and items of maps are not. more: how many others there are.
-- edges: from and to (ids), soft, condition. Those into a gate end at its sub-DAG; those out of it, from the
--   nodes of a sub-DAG to itself and those into the DAG are not shown. At most 100 jobs that are not of this DAG.
-- roles: operator, reader
create function dag_graph_json(dag_id bigint, max_nodes integer default 500) returns jsonb
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    root constant jobs := dag_graph_root(dag_graph_json.dag_id);
    graph jsonb;
begin
    with visible as materialized (
        select id, name, role, row_number() over (order by id) - 1 as place
        from jobs
        where dag_id = root.id and coalesce(role, '') <> 'gate' and right(name, 1) <> ']'
    ), first as materialized (
        select *, string_to_array(name, '/') as parts from visible where place < max_nodes
    ), shown as materialized (
        select * from first
        union all
        select *, string_to_array(name, '/') from visible v
        where v.place >= max_nodes
          and v.role = 'dag'
          and v.name = any(array(
              select array_to_string(f.parts[1:k], '/') from first f, generate_series(1, cardinality(f.parts) - 1) k))
    ), subs as materialized (
        select name, place from shown where role = 'dag'
    ), nested as materialized (
        select s.*, j.kind, j.rule, j.spec,
               array(select o.place from subs o
                     where o.name = any(array(
                         select array_to_string(s.parts[1:k], '/') from generate_series(1, cardinality(s.parts) - 1) k))
                     order by length(o.name)) || s.place as path
        from shown s
        cross join lateral (select kind, rule, spec from jobs where jobs.id = s.id offset 0) j
    ), stated as materialized (
        select n.*, t.state, w.held, w.pending, m.total as items, f.output
        from nested n
        cross join lateral (select state from job_states where id = n.id offset 0) t
        left join lateral (select held, pending from waiting where job_id = n.id offset 0) w on true
        left join lateral (select total from maps where n.role = 'map' and job_id = n.id offset 0) m on true
        left join lateral (
            select output from results where n.role = 'map' and state = 'completed' and job_id = n.id offset 0) f on true
    ), children as materialized (
        select id as child_id, id as target, name, role from shown
        union all
        select g.id, s.id, s.name, s.role
        from shown s
        cross join lateral (
            select id from jobs where s.role = 'dag' and dag_id = root.id and name = s.name || '/(start)' offset 0) g
    ), links as materialized (
        select e.parent_id, c.target, c.name, c.role, e.soft, e.condition::text as condition
        from children c
        cross join lateral (select parent_id, soft, condition from edges where child_id = c.child_id offset 0) e
    ), drawn as (
        select p.id as parent_id, p.place, l.target, l.soft, l.condition
        from links l
        join shown p on p.id = l.parent_id
        where l.role is distinct from 'dag' or not starts_with(p.name, l.name || '/')
    ), outside as (
        select j.id, j.kind, o.target, o.soft, o.condition
        from (select l.* from links l where not exists (select from shown s where s.id = l.parent_id) offset 0) o
        cross join lateral (
            select id, kind from jobs
            where id = o.parent_id and dag_id is distinct from root.id and id <> root.id offset 0) j
        order by j.id
        limit 100
    ), boxes as (
        select s.path, jsonb_strip_nulls(jsonb_build_object(
                   'id', 'n' || s.place, 'job_id', s.id, 'name', s.name, 'label', s.parts[cardinality(s.parts)],
                   'role', s.role, 'kind', s.kind, 'rule', nullif(s.rule, 'all'), 'at_least', s.spec -> 'at_least',
                   'state', case when s.state = 'waiting' and s.held then 'held' else s.state end,
                   'done', case when s.items is not null and s.state = 'waiting' then s.items - s.pending
                                else (s.output ->> 'items')::integer end,
                   'total', case when s.items is not null and s.state = 'waiting' then s.items
                                 else (s.output ->> 'items')::integer end,
                   'depth', cardinality(s.path) - 1, 'empty', case when s.role = 'dag' then i.first is null end,
                   'first', 'n' || i.first, 'last', 'n' || i.last)) as node
        from stated s
        left join lateral (
            select min(o.place) as first, max(o.place) as last from shown o
            where s.role = 'dag' and o.role is distinct from 'dag' and starts_with(o.name, s.name || '/')) i on true
        union all
        select distinct array[-1, o.id], jsonb_build_object(
                   'id', 'j' || o.id, 'job_id', o.id, 'label', format('%s %s', o.kind, o.id), 'state', t.state, 'depth', 0)
        from outside o
        cross join lateral (select state from job_states where id = o.id offset 0) t
    ), arrows as (
        select d.place as parent, c.place as child, bool_and(d.soft) as soft, d.condition, 'n' as prefix
        from drawn d join shown c on c.id = d.target
        group by 1, 2, d.condition
        union all
        select o.id, c.place, bool_and(o.soft), o.condition, 'j'
        from outside o join shown c on c.id = o.target
        group by 1, 2, o.condition
    )
    select jsonb_build_object(
               'nodes', (select coalesce(jsonb_agg(node order by path), '[]') from boxes),
               'edges', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                             'from', prefix || parent, 'to', 'n' || child, 'soft', soft, 'condition', condition))
                             order by prefix, parent, child, condition), '[]') from arrows),
               'more', (select count(*) from visible) - (select count(*) from shown))
    into graph;
    return graph;
end
$$;
comment on function dag_graph_json is 'What a picture of a DAG shows.';
