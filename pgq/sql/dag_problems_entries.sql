-- dag_problems_entries(entries, parents, ids): the entries of "after" that cannot be read, or that name nothing that is there
-- (they have neither parent nor id); place is that in the array. Internal: dag_problems_links.
-- An entry is a name, or an object with a node or a job, and with soft and when if it likes.
create function dag_problems_entries(entries jsonb[], parents bigint[], ids bigint[])
returns table (place bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    paths constant text[] := array(
        select distinct e ->> 'when' from unnest(entries) e
        where jsonb_typeof(e) = 'object' and jsonb_typeof(e -> 'when') = 'string');
    path_problems constant text[] := array(select dag_problems_path(p, true) from unnest(paths) with ordinality u(p, i) order by i);
begin
    return query
        select e.place, 'after', case
            when dag_problems_job_of(e.entry) is not null then dag_problems_label(e.entry) || ' does not exist'
            when jsonb_typeof(e.entry) in ('string', 'object')
                then format('must name nodes of the DAG; %s is none', dag_problems_label(e.entry))
            else format('must have names and objects; %s is neither', dag_problems_label(e.entry)) end
        from unnest(entries, parents, ids) with ordinality e(entry, parent, id, place)
        where e.parent is null and e.id is null
          and (jsonb_typeof(e.entry) <> 'object'
               or (e.entry ? 'node') <> (e.entry ? 'job')
                  and (dag_problems_node_of(e.entry) is not null or dag_problems_job_of(e.entry) is not null));
    return query
        select e.place, p.field, format('%s, in %s', p.rule, dag_problems_label(e.entry))
        from (select entry, place from unnest(entries) with ordinality u(entry, place)
              where jsonb_typeof(entry) = 'object'
                and (entry - '{node,job,soft,when}'::text[] = '{}'
                     and case when entry ? 'job' then not entry ? 'node' and dag_problems_job_of(entry) is not null
                              else jsonb_typeof(entry -> 'node') = 'string' end
                     and coalesce(jsonb_typeof(entry -> 'soft') in ('boolean', 'null'), true)
                     and coalesce(jsonb_typeof(entry -> 'when') in ('string', 'null'), true)) is not true
              offset 0) e -- most are fine, which is seen at less cost
        cross join lateral (values
            (e.entry - '{node,job,soft,when}'::text[] <> '{}', 'after', 'must not have other fields than node, job, soft and when'),
            ((e.entry ? 'node') = (e.entry ? 'job'), 'after', 'must name either a node or a job'),
            (jsonb_typeof(e.entry -> 'node') <> 'string', 'after', 'must name a node by a string'),
            (e.entry ? 'job' and dag_problems_job_of(e.entry) is null, 'after', 'must name a job by a positive integer'),
            (jsonb_typeof(e.entry -> 'soft') not in ('boolean', 'null'), 'soft', 'must be true or false'),
            (jsonb_typeof(e.entry -> 'when') not in ('string', 'null'), 'when', 'must be a string')
        ) p(is_broken, field, rule)
        where p.is_broken;
    return query
        select e.place, 'when', format('%s, in %s', p.problem, dag_problems_label(e.entry))
        from unnest(entries) with ordinality e(entry, place)
        join unnest(paths, path_problems) p(path, problem) on p.path = e.entry ->> 'when'
        where jsonb_typeof(e.entry) = 'object' and jsonb_typeof(e.entry -> 'when') = 'string' and p.problem is not null;
end
$$;
comment on function dag_problems_entries is 'Entries of "after" that cannot be read or name nothing.';
