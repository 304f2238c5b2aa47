-- read_cron(expression): a cron expression of five fields, or six with seconds in front, or a macro, as masks of seconds, minutes,
-- hours, days of the month, months, days of the week (0 is Sunday), and which of these are wildcards (1 hours, 2 days of the
-- month, 4 days of the week); or what is wrong with it. Internal: read_spec.
create function read_cron(expression text, out fields bigint[], out problem text)
language plpgsql immutable
as $$
declare
    text constant text := case lower(expression)
        when '@yearly' then '0 0 1 1 *' when '@annually' then '0 0 1 1 *' when '@monthly' then '0 0 1 * *'
        when '@weekly' then '0 0 * * 0' when '@daily' then '0 0 * * *' when '@midnight' then '0 0 * * *'
        when '@hourly' then '0 * * * *' else expression end;
    parts text[] := regexp_split_to_array(text, '[ \t]+');
    part record;
    wilds bigint := 0;
begin
    if text like '@%' then
        problem := format('has no macro %s: there are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly', to_json(left(text, 60)));
        return;
    elsif upper(text) ~ '^(CRON_)?TZ=' then
        problem := 'must not name a time zone: that is the field zone';
        return;
    elsif cardinality(parts) not in (5, 6) then
        problem := format('must have 5 fields, or 6 with seconds in front, not %s: minute, hour, day of month, month, day of week', cardinality(parts));
        return;
    elsif cardinality(parts) = 5 then
        parts := array['0'] || parts;
    end if;
    for part in
        select f.place, r.mask, r.wild, r.problem
        from (values (1, 'second', 0, 59, null::text[]), (2, 'minute', 0, 59, null), (3, 'hour', 0, 23, null), (4, 'day of month', 1, 31, null),
                     (5, 'month', 1, 12, '{JAN,FEB,MAR,APR,MAY,JUN,JUL,AUG,SEP,OCT,NOV,DEC}'),
                     (6, 'day of week', 0, 7, '{SUN,MON,TUE,WED,THU,FRI,SAT}')) f(place, name, low, high, names)
        cross join lateral cron_field(f.name, parts[f.place], f.low, f.high, f.names) r
        order by f.place
    loop
        if part.problem is not null then
            fields := null;
            problem := part.problem;
            return;
        end if;
        fields[part.place] := part.mask;
        wilds := wilds | case when part.wild then case part.place when 3 then 1 when 4 then 2 when 6 then 4 else 0 end else 0 end;
    end loop;
    fields[7] := wilds;
    -- A day of the month alone may be one that no month of the expression has.
    if wilds & 6 = 4 and not exists (
        select from generate_series(1, 12) month
        where fields[5] >> month & 1 = 1
          and next_bit(fields[4], 1) <= case month when 2 then 29 when 4 then 30 when 6 then 30 when 9 then 30 when 11 then 30 else 31 end)
    then
        fields := null;
        problem := 'never comes: none of its months has such a day';
    end if;
end
$$;
comment on function read_cron is 'A cron expression as masks.';
