-- dag_problems_shapes(sets, types): the fields of sets of options that are not known, not for nodes of their type, or not
-- of the JSON type that they should be; index is that of the set. Internal: dag_problems_values.
-- JSON null stands for "not given".
create function dag_problems_shapes(sets jsonb[], types text[]) returns table (index bigint, field text, rule text)
language sql stable
as $$
    select s.index, left(v.key, 128), case
        when f.field is null then 'is not a field of a node'
        when s.type <> all(f.types) then format('is not a field of a node of type %s', s.type)
        when f.form = 'texts' then 'must be an array of strings'
        else 'must be a string' end
    from unnest(sets, types) with ordinality s(options, type, index)
    cross join lateral jsonb_each(s.options) v
    left join dag_problems_fields() f on f.field = v.key
    where f.field is null
       or jsonb_typeof(v.value) <> 'null'
          and (s.type <> all(f.types)
               or f.form = 'text' and jsonb_typeof(v.value) <> 'string'
               or f.form = 'texts' and (jsonb_typeof(v.value) <> 'array'
                                        or jsonb_path_exists(v.value, 'strict $[*] ? (@.type() <> "string")', '{}', true)))
$$;
comment on function dag_problems_shapes is 'Fields of sets of options that are unknown or of the wrong type.';
