-- read_filter(filter): the fields of a filter of jobs as one row; null means not given. Internal: select_jobs, which says
-- what the fields mean, list_failures, job_stats. Raises PQ001 naming the field that is not known or cannot be read, 42501 for args and
-- paths where the caller sees no payloads.
create function read_filter(filter jsonb)
returns table (
    queues text[], kinds text[], states text[], tags text[], fingerprints text[], ids bigint[], workers bigint[], dags bigint[],
    since timestamptz, until timestamptz, args jsonb, metadata jsonb, error text, after bigint, before bigint,
    path_keys jsonb, path_values jsonb, groups text[])
language plpgsql stable
as $$
declare
    known constant jsonb := '{"queues": "text[]", "kinds": "text[]", "states": "text[]", "tags": "text[]", "fingerprints": "text[]",
        "ids": "bigint[]", "workers": "bigint[]", "dags": "bigint[]", "since": "timestamptz", "until": "timestamptz",
        "args": "jsonb", "metadata": "jsonb", "error": "text", "after": "bigint", "before": "bigint", "paths": "paths",
        "groups": "text[]"}';
    entry record;
    type text;
begin
    if jsonb_typeof(filter) is distinct from 'object' then
        perform invalid('filter', 'must be a JSON object');
    end if;
    for entry in select e.key, e.value, jsonb_typeof(e.value) as given from jsonb_each(filter) e order by e.key loop
        type := known ->> entry.key;
        if type is null then
            perform invalid(entry.key, 'is not a field of a filter of jobs');
        elsif entry.given = 'null' or type = 'jsonb' then
            continue;
        elsif type like '%[]' then
            if entry.given <> 'array' or exists (
                select from jsonb_array_elements(case entry.given when 'array' then entry.value else '[]' end) e
                where jsonb_typeof(e) <> case type when 'text[]' then 'string' else 'number' end
                   or (type = 'bigint[]' and (e::text !~ '^-?\d{1,19}$' or abs(e::text::numeric) > 9223372036854775807))) then
                perform invalid(entry.key, case type when 'text[]' then 'must be an array of strings' else 'must be an array of ids' end);
            end if;
        elsif type = 'bigint' then
            if entry.given <> 'number' or entry.value::text !~ '^-?\d{1,19}$' or abs(entry.value::text::numeric) > 9223372036854775807 then
                perform invalid(entry.key, 'must be the id of a job');
            end if;
        elsif type = 'paths' then
            if entry.given <> 'array' or exists (
                select from jsonb_array_elements(case entry.given when 'array' then entry.value else '[]' end) e
                where jsonb_typeof(e) <> 'object'
                   or (select array_agg(k order by k) from jsonb_object_keys(case jsonb_typeof(e) when 'object' then e else '{}' end) k)
                      is distinct from '{in,path}'
                   or jsonb_typeof(e -> 'path') <> 'array' or jsonb_typeof(e -> 'in') <> 'array'
                   or exists (select from jsonb_array_elements(case jsonb_typeof(e -> 'path') when 'array' then e -> 'path' else '[]' end) s
                              where jsonb_typeof(s) <> 'string')) then
                perform invalid('paths', 'must be an array of {"path": [strings], "in": [values]}');
            end if;
        elsif entry.given <> 'string' then
            perform invalid(entry.key, case type when 'text' then 'must be a string' else 'must be a time, as a string' end);
        elsif type = 'timestamptz' then
            begin
                perform (entry.value #>> '{}')::timestamptz;
            exception when data_exception then
                perform invalid(entry.key, 'cannot be read as a time');
            end;
        end if;
    end loop;
    if filter -> 'states' <> 'null' and exists (
        select from jsonb_array_elements_text(filter -> 'states') s
        where s not in ('waiting', 'scheduled', 'ready', 'running', 'completed', 'failed', 'cancelled', 'skipped', 'expired')) then
        perform invalid('states', 'must be waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired');
    end if;
    if (nullif(filter -> 'args', 'null') is not null or nullif(filter -> 'paths', 'null') is not null) and not sees_payloads() then
        raise exception using errcode = '42501', message = 'permission denied to filter by args';
    end if;
    return query
        select r.queues, r.kinds, r.states, r.tags, r.fingerprints, r.ids, r.workers, r.dags, r.since, r.until,
               nullif(filter -> 'args', 'null'), nullif(filter -> 'metadata', 'null'), r.error, r.after, r.before,
               p.keys, p.allowed, r.groups
        from jsonb_to_record(filter - '{args,metadata,paths}'::text[]) as r(
                 queues text[], kinds text[], states text[], tags text[], fingerprints text[], ids bigint[], workers bigint[],
                 dags bigint[], since timestamptz, until timestamptz, error text, after bigint, before bigint, groups text[]),
             lateral (select jsonb_agg(e -> 'path') as keys, jsonb_agg(e -> 'in') as allowed
                      from jsonb_array_elements(case jsonb_typeof(filter -> 'paths') when 'array' then filter -> 'paths' else '[]' end) e) p;
end
$$;
comment on function read_filter is 'The fields of a filter of jobs.';
