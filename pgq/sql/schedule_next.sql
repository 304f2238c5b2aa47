-- schedule_next(schedule, after): the first time after one at which a schedule is due, within its start and end and as long as it may
-- run; null: none any more. Internal.
create function schedule_next(schedule schedules, after timestamptz) returns timestamptz
language plpgsql stable
as $$
declare
    due timestamptz;
begin
    if schedule.runs >= schedule.max_runs then
        return null;
    end if;
    due := time_after(schedule.fields, schedule.period, schedule.once_at, schedule.zone, schedule.anchor,
                      greatest(after, schedule.starts_at - interval '1 microsecond'));
    return case when due > schedule.ends_at then null else due end;
end
$$;
comment on function schedule_next is 'When a schedule is due next.';
