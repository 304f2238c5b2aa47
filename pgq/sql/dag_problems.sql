-- dag_problems(spec, dag_id): everything that is wrong with a DAG document, at once: which node (null: the DAG itself; nodes
-- without a name that can be shown are called nodes[0] ...), which of its fields, and the rule that it breaks.
-- No rows: dag_submit takes it. With the id of a DAG: a document that extends that one (dag_extend); its nodes may then
-- come after nodes that are there already, and before such as still wait.
-- The document's fields are listed in docs/dags.md and in dag_problems_fields. Locks nothing.
--
-- The nodes are read once, into arrays and into lists of those that need a closer look.
-- roles: worker, operator
create function dag_problems(spec jsonb, dag_id bigint default null) returns table (node text, field text, rule text)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = on set enable_nestloop = off set enable_mergejoin = off
set work_mem = '64MB' set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    is_extension constant boolean := dag_id is not null;
    document constant jsonb := case when jsonb_typeof(spec) = 'object' then spec - 'nodes' else spec end;
    nodes constant jsonb := case when jsonb_typeof(spec) = 'object' then spec -> 'nodes' end;
    other_fields constant text[] := array['name', 'after', 'args', 'metadata', 'payload', case when is_extension then 'before' end];
    smallest_max constant bigint := (select min(max_args_bytes) from queues);
    names text[];
    options jsonb[]; -- null: is no object
    afters jsonb[];
    befores jsonb[];
    special bigint[]; -- nodes with a type or rule
    odd bigint[]; -- that are no objects, or whose "after" is no array
    large bigint[]; -- with a payload, or that may be too large
    oddly_named bigint[]; -- whose names may be wrong, or have a slash
    subs bigint[];
    maps bigint[];
begin
    return query select null, p.field, p.rule from dag_problems_document(document, is_extension) p;
    if jsonb_typeof(spec) is distinct from 'object' then
        return;
    elsif jsonb_typeof(nodes) is distinct from 'array' then
        return query select null, 'nodes', 'must be a JSON array';
        return;
    elsif jsonb_array_length(nodes) not between 1 and 1000000 then
        return query select null, 'nodes', 'must be 1 to 1000000';
        return;
    end if;
    select array_agg(n.name), array_agg(n.options), array_agg(n.after),
           case when is_extension then array_agg(n.node -> 'before') end,
           coalesce(array_agg(n.index) filter (where n.options ?| '{type,rule}'), '{}'),
           coalesce(array_agg(n.index) filter (where n.options is null or jsonb_typeof(n.after) <> 'array'), '{}'),
           coalesce(array_agg(n.index) filter (where n.node ? 'payload' or pg_column_size(n.node) > smallest_max), '{}'),
           coalesce(array_agg(n.index) filter (
               where n.name is null or length(n.name) > 200
                  or n.name collate "C" !~ '^[^][()/{\u0001-\u001F\u007F-\u009F]+$'), '{}')
    into names, options, afters, befores, special, odd, large, oddly_named
    from (select index, value as node, value -> 'after' as after,
                 case when jsonb_typeof(value -> 'name') = 'string' then value ->> 'name' end as name,
                 case when jsonb_typeof(value) = 'object' then dag_problems_options(value, other_fields) end as options
          from jsonb_array_elements(nodes) with ordinality e(value, index) offset 0) n;
    subs := array(select i from unnest(special) i where options[i] ->> 'type' = 'dag');
    maps := array(select i from unnest(special) i where options[i] ->> 'type' = 'map');
    return query
        select case
                   when p.index is null then null
                   when length(names[p.index]) between 1 and 200
                        and names[p.index] collate "C" !~ '[\u0001-\u001F\u007F-\u009F]' then names[p.index]
                   else format('nodes[%s]', p.index - 1) end,
               p.field, p.rule
        from (select o.index, case when options[o.index] is null then 'node' else 'after' end as field,
                     case when options[o.index] is null then 'must be a JSON object' else 'must be a JSON array' end as rule
              from unnest(odd) o(index)
              union all
              select * from dag_problems_names(names, options, oddly_named, dag_problems.dag_id)
              union all
              select * from dag_problems_subs(
                  names, options, oddly_named, subs, dag_problems.dag_id,
                  case when jsonb_typeof(document -> 'output') = 'string' and not is_extension then document ->> 'output' end)
              union all
              select * from dag_problems_values(options, false)
              union all
              select * from dag_problems_bodies(
                  nodes, large, case
                      when is_extension then (select j.queue from jobs j where j.id = dag_problems.dag_id)
                      when jsonb_typeof(document -> 'queue') = 'string' then document ->> 'queue' end)
              union all
              select * from dag_problems_rules(options, afters, special)
              union all
              select * from dag_problems_links(
                  names, options, afters, oddly_named, subs, maps, dag_problems.dag_id)
              union all
              select * from dag_problems_befores(names, befores, dag_problems.dag_id)) p
        order by p.index nulls first;
end
$$;
comment on function dag_problems is 'Everything that is wrong with a DAG document.';
