-- recent_times(schedule, since, before, at_most): the last times at which a schedule was due from one time on and before another, in
-- order. Looks back further and further, so that the cost is that of the times it returns and not of all. Internal.
create function recent_times(schedule schedules, since timestamptz, before timestamptz, at_most integer) returns timestamptz[]
language plpgsql stable
as $$
declare
    step constant interval := interval '1 microsecond';
    few interval := interval '0'; -- in which there are less than are wanted
    many interval; -- in which there are far more
    span interval := interval '1 min';
    start timestamptz;
    due timestamptz;
    found timestamptz[];
begin
    loop
        start := greatest(since, before - span);
        found := '{}';
        due := schedule_next(schedule, start - step);
        while due < before and cardinality(found) <= 4 * at_most + 10 loop
            found := found || due;
            due := schedule_next(schedule, due);
        end loop;
        if due < before and span - few > interval '1 s' then
            many := span;
        elsif cardinality(found) >= at_most or start = since or span - few <= interval '1 s' then
            return found[greatest(1, cardinality(found) - at_most + 1):];
        else
            few := span;
        end if;
        span := case when many is null then 4 * span else few + (many - few) / 2 end;
    end loop;
end
$$;
comment on function recent_times is 'The last times at which a schedule was due.';
