-- dag_problems_entries(entries): the entries of "after" that cannot be read: place is that in the array. Internal:
-- dag_problems_links. An entry is a name, or an object with a node or a job, and with soft and when if it likes.
create function dag_problems_entries(entries jsonb[]) returns table (place bigint, field text, rule text)
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
        select e.place, 'after', format('must have names and objects; %s is neither', left(e.entry::text, 100))
        from unnest(entries) with ordinality e(entry, place)
        where jsonb_typeof(e.entry) not in ('string', 'object');
    return query
        select e.place, p.field, p.rule
        from unnest(entries) with ordinality e(entry, place)
        cross join lateral (values
            (e.entry - '{node,job,soft,when}'::text[] <> '{}', 'after', 'has an unknown field in %s'),
            ((e.entry ? 'node') = (e.entry ? 'job'), 'after', 'must name either a node or a job in %s'),
            (jsonb_typeof(e.entry -> 'node') <> 'string', 'after', 'must name a node by a string in %s'),
            (e.entry ? 'job' and dag_problems_job_of(e.entry) is null, 'after', 'must name a job by a positive integer in %s'),
            (jsonb_typeof(e.entry -> 'soft') not in ('boolean', 'null'), 'soft', 'must be true or false, of %s'),
            (jsonb_typeof(e.entry -> 'when') not in ('string', 'null'), 'when', 'must be a string, of %s')
        ) p(is_broken, field, rule)
        where jsonb_typeof(e.entry) = 'object' and p.is_broken;
    return query
        select e.place, 'when', p.problem || ', of ' || dag_problems_label(e.entry)
        from unnest(entries) with ordinality e(entry, place)
        join unnest(paths, path_problems) p(path, problem) on p.path = e.entry ->> 'when'
        where jsonb_typeof(e.entry) = 'object' and jsonb_typeof(e.entry -> 'when') = 'string' and p.problem is not null;
end
$$;
comment on function dag_problems_entries is 'Entries of "after" that cannot be read.';
