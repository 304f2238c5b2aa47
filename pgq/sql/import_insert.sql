-- import_insert(name, rows): inserts rows of a table as export_jobs writes them; identity columns but that of jobs get new numbers.
-- PQ001 for columns that the table does not have: it is from another version. Internal: import_jobs.
create function import_insert(name text, rows jsonb) returns void
language plpgsql
as $$
declare
    t record;
    unknown text;
begin
    select * into t from export_tables() e where e.name = import_insert.name;
    if not found then
        perform invalid('lines', format('must not have rows of %s, which is not here: they are from another version', name));
    end if;
    select k into unknown
    from jsonb_array_elements(rows) r, jsonb_object_keys(r) k
    where k <> all(t.columns) and k <> 'nulls' limit 1;
    if found then
        perform invalid('lines', format('must not have %s.%s, which is not here: they are from another version', name, unknown));
    end if;
    execute format(
        'insert into %I (%s) %s select %s from jsonb_array_elements($1) r, jsonb_populate_record(null::%1$I, r) p',
        name, (select string_agg(quote_ident(c), ', ') from unnest(t.columns) c),
        case when name <> 'jobs' and 'id' = any(t.columns) then 'overriding user value' else '' end,
        (select string_agg(case when c = any(t.json_columns)
                    then format('case when r->''nulls'' ? %L then ''null''::jsonb else p.%I end', c, c) else format('p.%I', c) end, ', ')
         from unnest(t.columns) c))
    using rows;
end
$$;
comment on function import_insert is 'Inserts exported rows.';
