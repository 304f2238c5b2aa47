-- dag_insert(dag_id, nodes): inserts the nodes of a JSON array into jobs, edges, waiting and expiries, all in one statement that
-- reads the array once. Returns the ids of the nodes in their order, then those of hidden gates. Internal: dag_add.
--
-- Edges lead to a node
--   from what it comes after (to the gate of a sub-DAG, in its place), and from it to what it comes before;
--   from the gate of the sub-DAG it is in, if nothing else in that comes before it and its rule is all;
-- and from it, as from each gate, to the sub-DAG or DAG it is in if it is a leaf: if no other node in that waits for it in such a way that its
-- failure shows there. If some node waits for it that may start before it has ended (any, at_least), the DAG waits
-- for it, too, but tolerates its failure.
-- The planner takes a JSON array for short: without nested loops it hashes what it need not look up by index.
-- roles: owner
create function dag_insert(dag_id bigint, nodes jsonb) returns bigint[]
language plpgsql set search_path from current
set jit = off set enable_hashjoin = on set enable_nestloop = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    ids constant bigint[] := array(select nextval('jobs_id_seq') from generate_series(1, jsonb_array_length(nodes)));
    gate_ids bigint[];
begin
    with input as materialized (
        select ids[e.ordinality] as id, scope_of(n.name) as scope, coalesce(n.type, 'job') as type, coalesce(n.rule, 'all') as rule,
               coalesce(n.queue, d.queue) as queue, coalesce(n.priority, d.priority) as priority, coalesce(n.type, 'job') = 'job' as is_job,
               n.name, n.kind, n.args, n.max_attempts, n.timeout, n.backoff, n.tags, n.metadata, now() + n.ttl as expires_at, n.codec,
               n.payload, n.after, n.over, n.at_least, n."group" as group_name, e.value as node, d.held, d.enqueued_by
        from (select d.queue, d.priority, d.enqueued_by, coalesce(w.held, false) as held
              from jobs d left join waiting w on w.job_id = d.id where d.id = dag_insert.dag_id) d
        cross join jsonb_array_elements(nodes) with ordinality e
        cross join lateral jsonb_to_record(e.value) n(
            name text, type text, rule text, queue text, priority smallint, kind text, args jsonb, max_attempts integer,
            timeout interval, backoff jsonb, tags text[], metadata jsonb, ttl interval, codec text, payload text, after jsonb,
            over text, at_least integer, "group" text)
    ), gates as materialized (
        select nextval('jobs_id_seq') as id, s.id as sub_id, s.name, s.name || '/(start)' as gate, s.queue, s.priority, s.rule, s.at_least, s.held
        from input s
        where s.type = 'dag'
          and (jsonb_array_length(s.after) > 0
               or exists (select from input o where o.type = 'dag' and jsonb_array_length(o.after) > 0 and starts_with(s.name, o.name || '/'))
               or exists (select from jobs g where g.dag_id = dag_insert.dag_id and g.role = 'gate' and starts_with(s.name, left(g.name, -7)) offset 0))
    ), members as materialized (
        select i.id, coalesce(g.id, i.id) as entry_id, i.name, i.scope, i.rule, false as is_gate
        from input i left join gates g on g.sub_id = i.id
        union all
        select id, id, gate, name, rule, true from gates
    ), after as materialized (
        select coalesce(g.id, i.id) as child_id, a.*
        from input i
        left join gates g on g.sub_id = i.id
        cross join lateral (
            select coalesce(d ->> 'node', d #>> '{}') as parent, (d ->> 'job')::bigint as job_id,
                   coalesce((d ->> 'soft')::boolean, false) as soft, (d ->> 'when')::jsonpath as condition
            from jsonb_array_elements(i.after) d
            union all
            select i.over, null, false, null
            where i.over is not null
              and not exists (select from jsonb_array_elements(i.after) d where coalesce(d ->> 'node', d #>> '{}') = i.over)) a
    ), dependencies as materialized (
        select coalesce(a.job_id, p.id, o.id) as parent_id, coalesce(p.name, o.name) as parent, a.child_id, a.soft, a.condition
        from after a
        left join members p on p.name = a.parent and a.job_id is null
        left join lateral (
            select id, name from jobs
            where p.id is null and a.job_id is null and jobs.dag_id = dag_insert.dag_id and name = a.parent offset 0) o on true
    ), entering as materialized (
        select g.id as parent_id, m.entry_id as child_id
        from members m
        join (select id, name from gates
              union all
              select o.id, s.scope
              from (select distinct scope from members where scope <> '') s
              cross join lateral (
                  select id from jobs where jobs.dag_id = dag_insert.dag_id and name = s.scope || '/(start)' offset 0) o) g on g.name = m.scope
        left join (select d.child_id, count(*) as parents, count(*) filter (where starts_with(d.parent, c.scope || '/')) as inside
                   from dependencies d join members c on c.entry_id = d.child_id and not c.is_gate
                   group by d.child_id) had on had.child_id = m.entry_id
        where m.scope <> '' and not m.is_gate and (had.child_id is null or had.inside = 0 and m.rule = 'all')
    ), before as materialized (
        select i.id as parent_id, o.id as child_id, o.name as child, coalesce(o.rule, 'all') as rule
        from input i
        cross join lateral jsonb_array_elements_text(i.node -> 'before') b
        cross join lateral (select id, name, rule from jobs where jobs.dag_id = dag_insert.dag_id and name = b.value offset 0) o
    ), shown as materialized (
        select p.id, bool_or(a.absorbs) as absorbed, bool_or(a.absorbs and c.rule not in ('any', 'at_least', 'one_failed')) as shown
        from (select d.parent_id, d.soft, m.name, m.rule
              from dependencies d join members m on m.entry_id = d.child_id
              union all
              select parent_id, false, child, rule from before) d
        cross join lateral (select d.name, d.rule) c
        join members p on p.id = d.parent_id
        cross join lateral (select d.soft or c.rule not in ('done', 'one_failed', 'all_failed', 'none_skipped') as absorbs) a
        where p.scope = '' or starts_with(c.name, p.scope || '/')
        group by p.id
    ), leaving as materialized (
        select m.id as parent_id, coalesce(s.id, o.id, dag_insert.dag_id) as child_id, coalesce(h.absorbed, false) as soft
        from members m
        left join shown h on h.id = m.id
        left join members s on s.name = m.scope and m.scope <> ''
        left join lateral (
            select id from jobs where s.id is null and m.scope <> '' and jobs.dag_id = dag_insert.dag_id and name = m.scope offset 0) o on true
        where not m.is_gate and not coalesce(h.shown, false)
        union all
        select id, sub_id, false from gates
    ), joined as (
        insert into edges (parent_id, child_id, soft, condition)
        select parent_id, child_id, soft, condition from dependencies
        union all select parent_id, child_id, false, null from entering
        union all select parent_id, child_id, soft, null from leaving
        union all select parent_id, child_id, false, null from before
    ), parents as (
        select child_id, count(*)::integer as n, bool_and(entering) as only_gate
        from (select child_id, false as entering from dependencies
              union all select child_id, true from entering
              union all select child_id, false from leaving) e
        group by child_id
    ), mortal as (
        insert into expiries (expires_at, job_id) select expires_at, id from input where is_job and expires_at is not null
    ), opened as (
        insert into jobs (id, queue, kind, priority, dag_id, name, role, rule, spec)
        select id, queue, 'gate', priority, dag_insert.dag_id, gate, 'gate', rule,
               case when at_least is not null then jsonb_build_object('at_least', at_least) end
        from gates
    ), added as (
        insert into jobs (id, queue, kind, priority, max_attempts, timeout, backoff, expires_at, tags, metadata, codec, payload, args,
                          dag_id, name, role, rule, spec, enqueued_by, group_name)
        select id, queue, case when is_job then kind else type end, priority, case when is_job then max_attempts end,
               case when is_job then timeout end, case when is_job then nullif(backoff, 'null') end, case when is_job then expires_at end,
               tags, nullif(metadata, 'null'), case when is_job then codec end, case when is_job then decode(payload, 'base64') end,
               case when is_job then nullif(args, 'null') end, dag_insert.dag_id, name, nullif(type, 'job'), rule,
               case when not is_job or node ?| '{at_least,delay,callbacks}' then dag_spec(type, node, queue, priority) end, enqueued_by, case when is_job then group_name end
        from input
    ), put as (
        insert into waiting (job_id, queue, role, pending, held, need_ok, need_failed, max_failed, max_skipped, eager)
        select i.id, i.queue, i.role, coalesce(p.n, 0), i.held, t.need_ok, t.need_failed, t.max_failed, t.max_skipped,
               t.eager and i.role is distinct from 'map' -- which needs its source
        from (select id, queue, nullif(type, 'job') as role, case when type = 'dag' then 'done' else rule end as rule, at_least, held from input
              union all
              select id, queue, 'gate', rule, at_least, held from gates) i
        left join parents p on p.child_id = i.id
        cross join lateral rule_thresholds(case when p.only_gate then 'all' else i.rule end, p.n, i.at_least) t
    )
    select array_agg(id) into gate_ids from gates;
    return ids || gate_ids;
end
$$;
comment on function dag_insert is 'Inserts the nodes of a JSON array.';
