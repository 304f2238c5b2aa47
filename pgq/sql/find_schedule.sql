-- find_schedule(name): the row of a schedule, locked. Raises PQ004 when there is none. Internal.
create function find_schedule(name text) returns schedules
language plpgsql
as $$
declare
    schedule schedules;
begin
    select * into schedule from schedules s where s.name = find_schedule.name for update;
    if not found then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no schedule %s', to_json(coalesce(find_schedule.name, '')));
    end if;
    return schedule;
end
$$;
comment on function find_schedule is 'The row of a schedule, locked.';
