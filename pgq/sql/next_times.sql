-- next_times(name, at_most): the next times at which a schedule is due, without its jitter; none if it has ended, and those that it would
-- have if it is paused. At most 1,000. Raises PQ004 when there is no such schedule. Locks nothing.
-- roles: operator, reader
create function next_times(name text, at_most integer default 10) returns setof timestamptz
language plpgsql stable security definer set search_path from current
as $$
declare
    schedule schedules;
    due timestamptz;
begin
    select * into schedule from schedules s where s.name = next_times.name;
    if not found then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no schedule %s', to_json(coalesce(next_times.name, '')));
    elsif at_most is null or at_most not between 1 and 1000 then
        perform invalid('at_most', 'must be 1 to 1000');
    end if;
    due := case when schedule.paused_at is not null and schedule.next_at <= now() then schedule_next(schedule, now()) else schedule.next_at end;
    for n in 1 .. least(at_most, schedule.max_runs - schedule.runs) loop
        exit when due is null;
        return next due;
        due := schedule_next(schedule, due);
    end loop;
end
$$;
comment on function next_times is 'The next times at which a schedule is due.';
