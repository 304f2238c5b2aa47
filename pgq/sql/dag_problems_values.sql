-- dag_problems_values(options, is_document): the options (dag_problems_options) of nodes that are unknown, cannot be read or
-- break a rule by themselves; index is that of the node. Internal: dag_problems; also for the DAG's own options.
-- Nodes whose type is unknown are not looked into any further.
--
-- All different sets of options are read at once. What is found wrong is taken out, and those sets are looked at again,
-- until nothing new is found: so each field is reported once, and all of them are.
create function dag_problems_values(options jsonb[], is_document boolean) returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    sets constant jsonb[] := array(select distinct o from unnest(options) o where o is not null);
    types constant text[] := array(
        select case
            when is_document then 'document'
            when o -> 'type' in ('"job"', '"dag"', '"external"', '"sleep"', '"map"') then o ->> 'type'
            when o -> 'type' is null or o -> 'type' = 'null' then 'job' end
        from unnest(sets) o);
    looked_at jsonb[] := sets;
    wrong record;
    indexes bigint[];
    fields text[] := '{}';
    rules text[] := '{}';
begin
    select array_agg(p.index) as indexes, array_agg(p.field) as fields, array_agg(p.rule) as rules
    into wrong from dag_problems_shapes(sets, types) p;
    loop
        if wrong.indexes is not null then
            indexes := indexes || wrong.indexes;
            fields := fields || wrong.fields;
            rules := rules || wrong.rules;
            looked_at := dag_problems_without(looked_at, types, wrong.indexes, wrong.fields);
        end if;
        begin
            select array_agg(p.index) as indexes, array_agg(p.field) as fields, array_agg(p.rule) as rules
            into wrong from dag_problems_broken(looked_at, types) p
            where not exists (select from unnest(indexes, fields) w(index, field) where w.index = p.index and w.field = p.field);
            looked_at := array(
                select case when i = any(wrong.indexes) and types[i] is not null then o end
                from unnest(looked_at) with ordinality l(o, i));
        exception when data_exception then
            select array_agg(p.index) as indexes, array_agg(p.field) as fields, array_agg(p.rule) as rules
            into wrong from dag_problems_unreadable(looked_at) p;
            if wrong.indexes is null then
                raise;
            end if;
        end;
        exit when wrong.indexes is null;
    end loop;
    if indexes is not null then
        return query
            select n.index, w.field, w.rule
            from unnest(indexes, fields, rules) w(set, field, rule)
            join unnest(options) with ordinality n(options, index) on n.options = sets[w.set];
    end if;
end
$$;
comment on function dag_problems_values is 'Options of nodes that are unknown, unreadable or break a rule.';
