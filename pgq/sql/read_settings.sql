-- read_settings(verb, settings): the settings of a verb as one row. Internal: change_jobs. Raises PQ001 for a verb or a
-- setting that is not known, is missing, or cannot be read; what the values may be, the verbs say.
create function read_settings(verb text, settings jsonb)
returns table (queue text, run_at timestamptz, priority integer, rate double precision, start_at timestamptz)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    known constant jsonb := '{"cancel": [], "retry": ["rate", "start_at"], "delete": ["rate"], "move": ["queue"], "reschedule": ["run_at"],
        "set_priority": ["priority"]}';
    entry record;
begin
    if known -> verb is null then
        perform invalid('verb', 'must be cancel, retry, delete, move, reschedule or set_priority');
    elsif jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    end if;
    for entry in select e.key, e.value, jsonb_typeof(e.value) as given from jsonb_each(settings) e loop
        if not known -> verb ? entry.key then
            perform invalid(entry.key, format('is not a setting of %s', verb));
        elsif entry.given = 'null' then
            continue;
        elsif entry.given <> (case when entry.key in ('priority', 'rate') then 'number' else 'string' end) then
            perform invalid(entry.key, case when entry.key in ('priority', 'rate') then 'must be a number' else 'must be a string' end);
        end if;
        begin
            case entry.key
                when 'priority' then priority := (entry.value #>> '{}')::integer;
                when 'rate' then rate := (entry.value #>> '{}')::double precision;
                when 'run_at' then run_at := (entry.value #>> '{}')::timestamptz;
                when 'start_at' then start_at := (entry.value #>> '{}')::timestamptz;
                when 'queue' then queue := entry.value #>> '{}';
            end case;
        exception when data_exception then
            perform invalid(entry.key, 'cannot be read');
        end;
    end loop;
    if rate not between 0.001 and 1000000 then
        perform invalid('rate', 'must be 0.001 to 1000000 per second');
    elsif not isfinite(start_at) then
        perform invalid('start_at', 'must be finite');
    end if;
    return next;
end
$$;
comment on function read_settings is 'The settings of a verb.';
