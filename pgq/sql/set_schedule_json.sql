-- set_schedule_json(schedule, declared_by): set_schedule with its arguments as members of a JSON object; what became of the schedule. Raises
-- PQ001 for one that cannot be read. Internal: reconcile_schedules, and the Go client's SetSchedule.
-- roles: operator
create function set_schedule_json(schedule jsonb, declared_by text default null) returns text
language plpgsql security definer set search_path from current
as $$
declare
    s record;
    entry record;
begin
    for entry in
        select f.field, f.type
        from (values ('jitter', 'interval'), ('starts_at', 'timestamptz'), ('ends_at', 'timestamptz'), ('max_runs', 'bigint'),
                     ('missed_limit', 'integer')) f(field, type)
        where schedule ->> f.field is not null
    loop
        begin
            execute format('select $1::%s', entry.type) using schedule ->> entry.field;
        exception when data_exception then
            perform invalid(entry.field, format('cannot be read as %s', entry.type));
        end;
    end loop;
    select * into s
    from jsonb_to_record(schedule) r(
        name text, spec text, kind text, args jsonb, options jsonb, dag jsonb, zone text, jitter interval, starts_at timestamptz,
        ends_at timestamptz, max_runs bigint, missed text, missed_limit integer, overlap text);
    return (set_schedule(
        s.name, s.spec, s.kind, case when s.dag is null then schedule -> 'args' else s.args end, nullif(s.options, 'null'), nullif(s.dag, 'null'), coalesce(s.zone, 'UTC'),
        coalesce(s.jitter, interval '0'), s.starts_at, s.ends_at, s.max_runs, coalesce(s.missed, 'once'), coalesce(s.missed_limit, 100),
        coalesce(s.overlap, 'allow'), set_schedule_json.declared_by)).outcome;
end
$$;
comment on function set_schedule_json is 'Creates or changes a schedule that is given as JSON.';
