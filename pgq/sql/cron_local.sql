-- cron_local(fields, start): the first time on a clock, from a whole second on, that a cron expression stands for; null when there is
-- none before the year 10000. Days: if both day fields are given one of them must fit, else both. It goes through days,
-- skipping months, and never through what is smaller. Internal.
create function cron_local(fields bigint[], start timestamp) returns timestamp
language plpgsql immutable strict
as $$
declare
    day date := start::date;
    year integer := extract(year from start);
    month integer := extract(month from start);
    first integer := extract(day from start);
    last integer;
    hour integer := extract(hour from start);
    minute integer := extract(minute from start);
    second integer := extract(second from start);
    either constant boolean := fields[7] & 6 = 0;
    weekday integer;
    by_date boolean;
    by_weekday boolean;
begin
    while year < 10000 loop
        if fields[5] >> month & 1 = 1 then
            last := extract(day from make_date(year, month, 1) + interval '1 month' - interval '1 day');
            weekday := extract(dow from make_date(year, month, first));
            for number in first .. last loop
                by_date := fields[4] >> number & 1 = 1;
                by_weekday := fields[6] >> weekday & 1 = 1;
                if by_date and by_weekday or either and (by_date or by_weekday) then
                    day := make_date(year, month, number);
                    if day > start::date then
                        return day + make_time(next_bit(fields[3], 0), next_bit(fields[2], 0), next_bit(fields[1], 0));
                    end if;
                    -- On the first day, what is left of it.
                    if fields[3] >> hour & 1 = 1 then
                        if fields[2] >> minute & 1 = 1 and next_bit(fields[1], second) is not null then
                            return day + make_time(hour, minute, next_bit(fields[1], second));
                        elsif next_bit(fields[2], minute + 1) is not null then
                            return day + make_time(hour, next_bit(fields[2], minute + 1), next_bit(fields[1], 0));
                        end if;
                    end if;
                    if next_bit(fields[3], hour + 1) is not null then
                        return day + make_time(next_bit(fields[3], hour + 1), next_bit(fields[2], 0), next_bit(fields[1], 0));
                    end if;
                end if;
                weekday := (weekday + 1) % 7;
            end loop;
        end if;
        first := 1;
        month := coalesce(next_bit(fields[5], month + 1), next_bit(fields[5], 1) + 12);
        if month > 12 then
            month := month - 12;
            year := year + 1;
        end if;
    end loop;
    return null;
end
$$;
comment on function cron_local is 'The next time on a clock that a cron expression stands for.';
