-- cron_field(name, value, low, high, names): one field of a cron expression as a mask of the numbers that it stands for, whether it
-- is a wildcard (has * or ? without a step), or what is wrong with it. A field is a list of numbers, ranges and wildcards,
-- each with a step on demand: 1,5-9,20-40/5,*/15. names: what stands for low and those after it. Internal: read_cron.
create function cron_field(
    name text, value text, low integer, high integer, names text[], out mask bigint, out wild boolean, out problem text)
language plpgsql immutable
as $$
declare
    what constant text := case when name ~ '^[aeiouh]' then 'an ' else 'a ' end || name;
    part text;
    found text[];
    first integer;
    last integer;
    step integer;
begin
    mask := 0;
    wild := false;
    foreach part in array string_to_array(value, ',') loop
        found := regexp_match(part, '^(?:([*?])|([0-9]{1,4}|[A-Za-z]{3})(?:-([0-9]{1,4}|[A-Za-z]{3}))?)(?:/([0-9]{1,4}))?$');
        if found is null or found[1] = '?' and name not like 'day%' then
            problem := format('has %s that cannot be read: %s', what, to_json(left(value, 60)));
            return;
        end if;
        first := case when found[1] is not null then low when found[2] ~ '^[0-9]' then found[2]::integer
                      else array_position(names, upper(found[2])) - 1 + low end;
        last := case when found[3] ~ '^[0-9]' then found[3]::integer
                     when found[3] is not null then array_position(names, upper(found[3])) - 1 + low
                     when found[1] is not null or found[4] is not null then case high when 7 then 6 else high end
                     else first end;
        if name = 'day of week' and last = 0 and first > 0 then
            last := 7; -- SAT-SUN
        end if;
        step := coalesce(found[4]::integer, 1);
        if first is null or last is null then
            problem := format('has %s that cannot be read: %s', what, to_json(part));
            return;
        elsif least(first, last) < low or greatest(first, last) > high then
            problem := format('must have %s to %s as %s, not %s', low, high, name, to_json(part));
            return;
        elsif first > last then
            problem := format('has %s that runs backwards: %s', what, to_json(part));
            return;
        elsif step not between 1 and high - low then
            problem := format('must have a step of 1 to %s in its %s, not %s', high - low, name, to_json(part));
            return;
        end if;
        wild := wild or found[1] is not null and step = 1;
        for number in first .. last by step loop
            mask := mask | (1::bigint << number);
        end loop;
    end loop;
    if mask = 0 then
        problem := format('has an empty %s', name);
    elsif name = 'day of week' then
        mask := (mask | (mask >> 7)) & 127; -- 7 is Sunday, too
    end if;
end
$$;
comment on function cron_field is 'One field of a cron expression as a mask.';
