-- dag_problems_unreadable(sets): the fields of sets of options that cannot be read as what they are. Internal:
-- dag_problems_values. Tries field by field; called only when reading all at once has failed.
create function dag_problems_unreadable(sets jsonb[]) returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    entry record;
begin
    for entry in
        select s.index, f.field, f.form, s.options ->> f.field as value
        from unnest(sets) with ordinality s(options, index), dag_problems_fields() f
        where f.form in ('integer', 'interval', 'numeric') and s.options ->> f.field is not null
    loop
        begin
            execute format('select $1::%s', entry.form) using entry.value;
        exception when data_exception then
            return query select entry.index, entry.field, format('cannot be read as %s', entry.form);
        end;
    end loop;
end
$$;
comment on function dag_problems_unreadable is 'Fields of sets of options that cannot be read.';
