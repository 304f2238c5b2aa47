-- dag_problems(spec, dag_id): everything that is wrong with a DAG document, at once: which node (null: the DAG itself; nodes
-- without a name that can be shown are called nodes[0] ...), which of its fields, and the rule that it breaks.
-- No rows: dag_submit takes it. With the id of a DAG: a document that extends that one (dag_extend); its nodes may then
-- come after nodes that are there already, and before such as still wait.
-- The document's fields are listed in docs/dags.md and in dag_problems_fields. Locks nothing.
create function dag_problems(spec jsonb, dag_id bigint default null) returns table (node text, field text, rule text)
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set work_mem = '64MB' set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    is_extension constant boolean := dag_id is not null;
    nodes constant jsonb := case when jsonb_typeof(spec) = 'object' then spec -> 'nodes' end;
    links constant text[] := case when is_extension then '{name,after,before}' else '{name,after}' end;
    dag_queue constant text := case
        when is_extension then (select queue from jobs where id = dag_problems.dag_id)
        when jsonb_typeof(spec -> 'queue') = 'string' then spec ->> 'queue' end;
    dag_output constant text := case when jsonb_typeof(spec -> 'output') = 'string' and not is_extension then spec ->> 'output' end;
    names text[];
    options jsonb[];
    afters jsonb[];
    befores jsonb[];
begin
    return query select null, p.field, p.rule from dag_problems_document(spec, is_extension) p;
    if jsonb_typeof(nodes) is distinct from 'array' or jsonb_array_length(nodes) not between 1 and 1000000 then
        return;
    end if;
    select array_agg(case jsonb_typeof(e -> 'name') when 'string' then e ->> 'name' end),
           array_agg(case jsonb_typeof(e) when 'object' then dag_problems_options(e, links) end),
           array_agg(e -> 'after'),
           case when is_extension then array_agg(e -> 'before') end
    into names, options, afters, befores
    from jsonb_array_elements(nodes) e;
    return query
        select case
                   when p.index is null then null
                   when length(names[p.index]) between 1 and 200 and names[p.index] collate "C" !~ '[\u0001-\u001F\u007F-\u009F]'
                       then names[p.index]
                   else format('nodes[%s]', p.index - 1) end,
               p.field, p.rule
        from (select * from dag_problems_names(names, options, dag_output, dag_problems.dag_id)
              union all
              select * from dag_problems_values(options, false)
              union all
              select * from dag_problems_bodies(nodes, dag_queue)
              union all
              select * from dag_problems_rules(options, afters)
              union all
              select * from dag_problems_links(names, options, afters, dag_problems.dag_id)
              union all
              select * from dag_problems_befores(names, befores, dag_problems.dag_id)) p
        order by p.index nulls first;
end
$$;
comment on function dag_problems is 'Everything that is wrong with a DAG document.';
