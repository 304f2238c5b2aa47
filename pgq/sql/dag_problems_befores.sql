-- dag_problems_befores(names, befores, dag_id): what is wrong with what new nodes come before: that must be nodes that the DAG
-- has already, by name. Internal: dag_problems, to extend a DAG. Whether they still wait is not looked at.
create function dag_problems_befores(names text[], befores jsonb[], dag_id bigint)
returns table (index bigint, field text, rule text)
language sql stable
as $$
    select b.index, 'before', 'must be a JSON array'
    from unnest(befores) with ordinality b(before, index)
    where jsonb_typeof(b.before) <> 'array'
    union all
    select e.index, 'before', case
        when jsonb_typeof(e.entry) <> 'string' then format('must have names; %s is none', left(e.entry::text, 100))
        when starts_with(names[e.index], e.entry #>> '{}' || '/') then format('must not name %s, which it is in', dag_problems_label(e.entry))
        when count(*) > 1 then format('must not name %s twice', dag_problems_label(e.entry))
        else format('must name nodes that the DAG has already; %s is none', dag_problems_label(e.entry)) end
    from (select b.index, jsonb_array_elements(b.before) as entry
          from unnest(befores) with ordinality b(before, index)
          where jsonb_typeof(b.before) = 'array' offset 0) e
    group by e.index, e.entry
    having jsonb_typeof(e.entry) <> 'string' or count(*) > 1 or starts_with(names[e.index], e.entry #>> '{}' || '/')
        or not exists (
            select from jobs j
            where j.dag_id = dag_problems_befores.dag_id and j.name = e.entry #>> '{}' and j.role is distinct from 'gate' offset 0)
$$;
comment on function dag_problems_befores is 'What is wrong with what new nodes come before.';
