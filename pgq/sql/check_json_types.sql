-- check_json_types(jobs): raises PQ001 for the first field of a JSON array of jobs that cannot be read as what it is.
-- Tries field by field; called only when reading all at once has failed. Internal: check_jobs_json.
create function check_json_types(jobs jsonb) returns void
language plpgsql stable
as $$
declare
    entry record;
begin
    for entry in
        select e.ordinality - 1 as index, f.field, f.type, e.value ->> f.field as value
        from jsonb_array_elements(jobs) with ordinality e,
             (values ('priority', 'integer'), ('delay', 'interval'), ('run_at', 'timestamptz'), ('max_attempts', 'integer'),
                     ('timeout', 'interval'), ('ttl', 'interval'), ('result_ttl', 'interval')) f(field, type)
        where e.value ->> f.field is not null
        order by 1, 2
    loop
        begin
            execute format('select $1::%s', entry.type) using entry.value;
        exception when data_exception then
            perform invalid(format('jobs[%s].%s', entry.index, entry.field), format('cannot be read as %s', entry.type));
        end;
    end loop;
    for entry in
        select e.ordinality - 1 as index, e.value ->> 'payload' as payload, jsonb_typeof(e.value -> 'tags') as tags
        from jsonb_array_elements(jobs) with ordinality e
        order by 1
    loop
        if entry.tags not in ('array', 'null') then
            perform invalid(format('jobs[%s].tags', entry.index), 'must be a JSON array');
        end if;
        begin
            perform decode(entry.payload, 'base64');
        exception when data_exception then
            perform invalid(format('jobs[%s].payload', entry.index), 'cannot be read as base64');
        end;
    end loop;
end
$$;
comment on function check_json_types is 'Refuses a JSON array of jobs with a field that cannot be read.';
