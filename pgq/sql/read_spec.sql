-- read_spec(spec, zone): when a schedule is due, as it is stored: masks of a cron expression (see read_cron), the period of
-- "every INTERVAL", or the time of "at TIME", which is of the zone unless it has an offset; or the rule that the spec breaks. The zone
-- is a known one. Internal.
create function read_spec(
    spec text, zone text, out fields bigint[], out period interval, out once_at timestamptz, out problem text)
language plpgsql stable
set intervalstyle = 'postgres'
as $$
declare
    words constant text[] := regexp_match(btrim(spec, E' \t'), '^@?(every|at)[ \t]+(.*)$', 'i');
    parts text[];
begin
    if spec is null or btrim(spec, E' \t') = '' or length(spec) > 500 then
        problem := 'must have 1 to 500 characters';
    elsif words is null then
        select r.fields, r.problem into fields, problem from read_cron(btrim(spec, E' \t')) r;
    elsif lower(words[1]) = 'every' then
        begin
            period := words[2]::interval;
        exception when data_exception then
            problem := format('has an interval that cannot be read: %s', to_json(left(words[2], 60)));
            return;
        end;
        if extract(month from period) <> 0 or extract(year from period) <> 0 then
            problem := 'must not have months or years in its interval, which differ in length: use a cron expression';
        elsif extract(epoch from period) not between 1 and 3155760000 then
            problem := 'must have an interval of 1 second to 100 years';
        end if;
        period := case when problem is null then make_interval(secs => extract(epoch from period)::float8) end;
    else
        parts := regexp_match(words[2], '^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\s*(Z|[+-]\d\d(?::?\d\d)?)?$', 'i');
        begin
            once_at := case when parts[3] is null then instant_of((parts[1] || ' ' || parts[2])::timestamp, zone)
                            else (parts[1] || ' ' || parts[2] || parts[3])::timestamptz end;
        exception when data_exception then
            once_at := null;
        end;
        if once_at is null then
            problem := format('has a time that cannot be read: %s; it is written as 2030-01-31 18:00, or with an offset as 2030-01-31T18:00:00Z',
                              to_json(left(words[2], 60)));
        end if;
    end if;
end
$$;
comment on function read_spec is 'When a schedule is due, as it is stored.';
