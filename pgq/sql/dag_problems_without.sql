-- dag_problems_without(sets, types, indexes, fields): sets of options without the fields that are wrong; some have
-- stand-ins, so that they are not reported again as missing. Internal: dag_problems_values.
create function dag_problems_without(sets jsonb[], types text[], indexes bigint[], fields text[]) returns jsonb[]
language sql stable
as $$
    select array_agg(case when w.index is null then s.options else s.options - w.fields || w.stand_ins end order by s.index)
    from unnest(sets) with ordinality s(options, index)
    left join (
        select wrong.index,
               array_agg(wrong.field) || case when 'rule' = any(array_agg(wrong.field)) then array['at_least'] end as fields,
               coalesce(jsonb_object_agg(f.field, f.stand_in) filter (where f.stand_in is not null), '{}') as stand_ins
        from unnest(indexes, fields) wrong(index, field)
        left join dag_problems_fields() f on f.field = wrong.field and dag_problems_without.types[wrong.index] = any(f.types)
        group by wrong.index) w on w.index = s.index
$$;
comment on function dag_problems_without is 'Sets of options without the fields that are wrong.';
