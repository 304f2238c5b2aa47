-- enqueue_trigger(options ...): a trigger that enqueues a job for each row that a statement inserts, updates or deletes, in the
-- transaction that does so. For WHEN it runs or not is PostgreSQL's own business: after insert or update of total ... when (...).
--
--   create trigger placed after insert on orders for each row
--   execute function pgq.enqueue_trigger('kind=order_placed', 'queue=mail', 'columns=id,total');
--
-- Options are texts, name=value: kind (must be given), columns (of which args are made; all of them by default; names with
-- commas or spaces in double quotes), args (row: the row as it is now, the default; change: {"op", "old", "new"}), condition (see below), and those of
-- enqueue: queue, priority, delay, max_attempts, timeout, ttl, result_ttl, tags (with commas in between), metadata (a JSON object), group, sequence,
-- on_failure, and unique_key (the key of its uniqueness). In group, sequence and unique_key {column} stands for what the row has there, which must be
-- one of columns: 'group=tenant/{tenant_id}'. Numbers keep all their digits.
--
-- condition is an expression in SQL, of which a job is made only where it is true: 'condition=total > 0'. Names are those of all columns of the row as
-- it is now, with args=change old.total and new.total; where there is no such row they are null. Functions, types and tables besides PostgreSQL's are named with
-- their schemas. It runs with the rights of whoever changes the row, as any function that is put into a trigger by those who may make one: the table's
-- owner, and who has TRIGGER on it. when (...) of a trigger for each row costs less.
--
-- for each statement, with transition tables of whatever names, the rows of a statement are enqueued together, which is much cheaper:
--
--   create trigger placed after insert on orders referencing new table as placed for each statement execute function ...
--
-- Old and new rows of an update are then brought together by the primary key; where that changed, either is null.
-- Raises PQ001 with the option as the field when one cannot be used, and what enqueue raises. Has the rights of whoever changes
-- the row, who must be allowed to enqueue: what makes JSON of columns may call casts that users made.
-- roles: producer
create function enqueue_trigger() returns trigger
language plpgsql set search_path from current
as $$
declare
    known constant text[] := array['kind', 'columns', 'args', 'condition', 'queue', 'priority', 'delay', 'max_attempts', 'timeout', 'ttl',
                                   'result_ttl', 'tags', 'metadata', 'group', 'sequence', 'on_failure', 'unique_key'];
    made constant text[] := array['group', 'sequence', 'unique_key']; -- of what the row has
    given jsonb := '{}';  -- options by name, as texts
    option text;
    value text;
    field text;           -- what cannot be used
    rule text;            -- and why
    help text;
    columns text[];
    names jsonb;          -- what is made of the row, by option
    wide boolean;         -- args are changes
    filter text;          -- the condition as a clause
    wanted boolean := true;
    old_row jsonb;
    new_row jsonb;
    old_table text;
    new_table text;
    old_json text;
    new_json text;
    nothing text;         -- the row that an insert or delete does not have
    source text;          -- the statement that reads the rows
    rows refcursor;
    entry jsonb;
    batch jsonb[] := '{}';
begin
    for i in 0 .. TG_NARGS - 1 loop
        option := btrim(split_part(TG_ARGV[i], '=', 1));
        value := btrim(substr(TG_ARGV[i], strpos(TG_ARGV[i], '=') + 1));
        if strpos(TG_ARGV[i], '=') = 0 then
            field := option;
            rule := 'must be given as name=value';
        elsif option <> all(known) then
            field := option;
            rule := format('is not an option of enqueue_trigger, which are %s', array_to_string(known, ', '));
        elsif given ? option then
            field := option;
            rule := 'must be given once';
        elsif value = '' then
            field := option;
            rule := 'must not be empty';
        elsif option in ('priority', 'max_attempts') and value !~ '^[0-9]{1,9}$' then
            field := option;
            rule := 'must be a whole number';
        elsif option = 'args' and value not in ('row', 'change') then
            field := option;
            rule := 'must be row or change';
        elsif option in ('delay', 'timeout', 'ttl', 'result_ttl', 'metadata') then
            begin
                if option = 'metadata' then
                    perform value::jsonb;
                else
                    perform value::interval;
                end if;
            exception when data_exception then
                field := option;
                rule := 'cannot be read as ' || case option when 'metadata' then 'JSON' else 'interval' end;
            end;
        end if;
        exit when field is not null;
        given := given || jsonb_build_object(option, value);
    end loop;
    columns := array(
        select coalesce(replace(m[1], '""', '"'), btrim(m[2]))
        from regexp_matches(given ->> 'columns', '"((?:[^"]|"")+)"|([^,"]*[^,"[:space:]][^,"]*)', 'g') m);
    wide := given ->> 'args' is not distinct from 'change';
    filter := coalesce(E' where (' || (given ->> 'condition') || E'\n)', '');
    if field is null then
        if TG_WHEN <> 'AFTER' or TG_OP not in ('INSERT', 'UPDATE', 'DELETE') then
            field := TG_NAME;
            rule := 'must be a trigger after insert, update or delete';
        elsif not given ? 'kind' then
            field := 'kind';
            rule := 'must be given';
        elsif columns <> '{}' then
            select 'columns', format('names %s, which %s.%s does not have', to_json(c), TG_TABLE_SCHEMA, TG_TABLE_NAME) into field, rule
            from unnest(columns) c
            where not exists (select from pg_catalog.pg_attribute a
                              where a.attrelid = TG_RELID and a.attname = c and a.attnum > 0 and not a.attisdropped)
            limit 1;
        end if;
    end if;
    if field is null then
        select o.option, format('names %s, which is not one of its columns', to_json(m[1])) into field, rule
        from unnest(made) o(option)
        cross join lateral regexp_matches(given ->> o.option, '\{([^{}]*)\}', 'g') m
        where case when columns <> '{}' then m[1] <> all(columns)
                   else not exists (select from pg_catalog.pg_attribute a
                                    where a.attrelid = TG_RELID and a.attname = m[1] and a.attnum > 0 and not a.attisdropped) end
        limit 1;
    end if;
    nothing := format('(select (null::%s).*)', TG_RELID::regclass);

    if field is null and filter <> '' and TG_LEVEL = 'ROW' then
        source := 'select true from ' || case
            when wide then format('%s old cross join %s new', case TG_OP when 'INSERT' then nothing else '(select ($1).*)' end,
                                  case TG_OP when 'DELETE' then nothing else '(select ($2).*)' end)
            when TG_OP = 'DELETE' then '(select ($1).*) old'
            else '(select ($2).*) new' end || filter;
        begin
            execute source into wanted using old, new;
        exception when data_exception or syntax_error_or_access_rule_violation or cardinality_violation or feature_not_supported then
            field := 'condition';
            rule := 'cannot be evaluated: ' || sqlerrm;
        end;
    end if;

    if field is null and TG_LEVEL = 'STATEMENT' then
        -- The rows, as old_row and new_row.
        select t.tgoldtable, t.tgnewtable into old_table, new_table
        from pg_catalog.pg_trigger t
        where t.tgrelid = TG_RELID and t.tgname = TG_NAME;
        old_json := coalesce((select format('(select to_jsonb(r.*) from (select %s) r)', string_agg(format('old.%I', c), ', ' order by p))
                              from unnest(columns) with ordinality u(c, p) having count(*) > 0), 'to_jsonb(old.*)');
        new_json := coalesce((select format('(select to_jsonb(r.*) from (select %s) r)', string_agg(format('new.%I', c), ', ' order by p))
                              from unnest(columns) with ordinality u(c, p) having count(*) > 0), 'to_jsonb(new.*)');
        if TG_OP = 'UPDATE' and wide then
            source := (
                select format('select case when old.%1$I is not null then %2$s end, case when new.%1$I is not null then %3$s end '
                              'from %4$I old full join %5$I new on %6$s',
                              min(a.attname), old_json, new_json, old_table, new_table,
                              string_agg(format('new.%1$I = old.%1$I', a.attname), ' and '))
                from pg_catalog.pg_index i
                join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
                where i.indrelid = TG_RELID and i.indisprimary and old_table is not null and new_table is not null
                having count(*) > 0);
        elsif TG_OP = 'DELETE' and old_table is not null then
            source := format('select %s, null::jsonb from %I old', old_json, old_table) || case when wide and filter <> '' then format(' cross join %s new', nothing) else '' end;
        elsif TG_OP <> 'DELETE' and new_table is not null then
            source := format('select null::jsonb, %s from %I new', new_json, new_table) || case when wide and filter <> '' then format(' cross join %s old', nothing) else '' end;
        end if;
        if source is null then
            field := TG_NAME;
            rule := 'must have transition tables of the rows'
                || case when TG_OP = 'UPDATE' and wide then ', the old and the new, and the table a primary key' else '' end;
            help := 'Create it with "referencing old table as ... new table as ...", or for each row.';
        else
            begin
                open rows for execute source || filter;
            exception when data_exception or syntax_error_or_access_rule_violation or cardinality_violation or feature_not_supported then
                if filter = '' then
                    raise;
                end if;
                field := 'condition';
                rule := 'cannot be evaluated: ' || sqlerrm;
            end;
        end if;
        entry := (given - '{columns,args,condition,unique_key}'::text[])
            || case when given ? 'tags' then jsonb_build_object('tags', to_jsonb(regexp_split_to_array(given ->> 'tags', '\s*,\s*'))) else '{}' end
            || case when given ? 'metadata' then jsonb_build_object('metadata', (given ->> 'metadata')::jsonb) else '{}' end;
    end if;
    while field is null and TG_LEVEL = 'STATEMENT' loop
        batch := '{}';
        begin
            while cardinality(batch) < 10000 loop
                fetch rows into old_row, new_row;
                exit when not found;
                names := (
                    select jsonb_object_agg(o.option, (
                        select string_agg(case when m[1] ~ '^\{.+\}$' then coalesce(coalesce(new_row, old_row) ->> btrim(m[1], '{}'), '') else m[1] end, '' order by n)
                        from regexp_matches(given ->> o.option, '\{[^{}]*\}|[^{}]+|[{}]', 'g') with ordinality r(m, n)))
                    from unnest(made) o(option)
                    where given ? o.option);
                if names ? 'unique_key' then
                    names := names - 'unique_key' || jsonb_build_object('unique', jsonb_build_object('key', names -> 'unique_key'));
                end if;
                batch := array_append(batch, entry || coalesce(names, '{}') || jsonb_build_object('args', case
                    when wide then jsonb_build_object('op', lower(TG_OP), 'old', old_row, 'new', new_row)
                    else coalesce(new_row, old_row) end));
            end loop;
        exception when data_exception or syntax_error_or_access_rule_violation or cardinality_violation then
            if filter = '' then
                raise;
            end if;
            field := 'condition';
            rule := 'cannot be evaluated: ' || sqlerrm;
            exit;
        end;
        if batch <> '{}' then
            perform enqueue_many(to_jsonb(batch)); -- outside, since its errors are not the condition's
        end if;
        if cardinality(batch) < 10000 then
            close rows;
            exit;
        end if;
    end loop;
    if field is not null then
        raise exception using
            errcode = 'PQ001',
            message = format('%s %s', field, rule),
            column = field,
            detail = rule,
            hint = coalesce(help, format('See trigger %s of %s.%s.', to_json(TG_NAME), TG_TABLE_SCHEMA, TG_TABLE_NAME));
    end if;
    if TG_LEVEL = 'STATEMENT' or wanted is not true then
        return null;
    end if;

    if wide or TG_OP = 'DELETE' then
        old_row := case when TG_OP <> 'INSERT' then to_jsonb(old) end;
    end if;
    new_row := case when TG_OP <> 'DELETE' then to_jsonb(new) end;
    if columns <> '{}' then
        old_row := case when old_row is not null then (select jsonb_object_agg(c, old_row -> c) from unnest(columns) c) end;
        new_row := case when new_row is not null then (select jsonb_object_agg(c, new_row -> c) from unnest(columns) c) end;
    end if;
    names := (
        select jsonb_object_agg(o.option, (
            select string_agg(case when m[1] ~ '^\{.+\}$' then coalesce(coalesce(new_row, old_row) ->> btrim(m[1], '{}'), '') else m[1] end, '' order by n)
            from regexp_matches(given ->> o.option, '\{[^{}]*\}|[^{}]+|[{}]', 'g') with ordinality r(m, n)))
        from unnest(made) o(option)
        where given ? o.option);
    perform enqueue(
        given ->> 'kind',
        case when wide then jsonb_build_object('op', lower(TG_OP), 'old', old_row, 'new', new_row)
             else coalesce(new_row, old_row) end,
        queue => coalesce(given ->> 'queue', 'default'), priority => coalesce((given ->> 'priority')::integer, 5),
        delay => (given ->> 'delay')::interval, max_attempts => (given ->> 'max_attempts')::integer,
        timeout => (given ->> 'timeout')::interval, tags => regexp_split_to_array(given ->> 'tags', '\s*,\s*'),
        metadata => (given ->> 'metadata')::jsonb, ttl => (given ->> 'ttl')::interval, result_ttl => (given ->> 'result_ttl')::interval,
        uniqueness => case when names ? 'unique_key' then jsonb_build_object('key', names -> 'unique_key') end,
        group_name => names ->> 'group', sequence => names ->> 'sequence', on_failure => given ->> 'on_failure');
    return null;
end
$$;
comment on function enqueue_trigger is 'Trigger: enqueues a job for each row that is inserted, updated or deleted; options are kind=..., queue=..., columns=..., condition=... and more.';
