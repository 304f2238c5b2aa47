-- plan_schedule(schedule): what is to be done about a schedule that the chores look at: which times are to fire, which jobs are to be
-- cancelled before, which times are overlapped by jobs that have not ended and are dropped, which one waits for these, which were
-- missed, and when it is due and looked at next. Internal: fire_schedules, which holds its row.
create function plan_schedule(
    schedule schedules,
    out fire timestamptz[], out cancels bigint[], out overlapped timestamptz[], out queued_at timestamptz, out missed_at timestamptz,
    out next_at timestamptz, out fire_at timestamptz)
language plpgsql stable
as $$
declare
    due record;
    alive bigint[];
begin
    due := schedule_due(schedule);
    fire := due.fire;
    missed_at := due.missed_at;
    next_at := due.next_at;
    if schedule.overlap <> 'allow' and (fire <> '{}' or schedule.queued_at is not null) then
        alive := schedule_alive(schedule.name);
        if schedule.overlap = 'cancel' then
            cancels := alive;
            overlapped := fire[:cardinality(fire) - 1];
            fire := fire[cardinality(fire):];
        elsif schedule.overlap = 'skip' then
            overlapped := case when alive <> '{}' then fire else fire[2:] end;
            fire := case when alive <> '{}' then '{}' else fire[:1] end;
        else
            fire := schedule.queued_at || fire;
            fire := array_remove(fire, null);
            if alive <> '{}' then
                queued_at := fire[1];
                overlapped := fire[2:];
                fire := '{}';
            else
                queued_at := fire[2];
                overlapped := fire[3:];
                fire := fire[:1];
            end if;
        end if;
        if next_at is null and overlapped <> '{}' then -- which do not count as runs
            next_at := schedule_next(schedule, greatest(overlapped[cardinality(overlapped)], fire[cardinality(fire)], queued_at));
        end if;
    end if;
    if schedule.runs + cardinality(fire) >= schedule.max_runs then
        fire := fire[:schedule.max_runs - schedule.runs];
        queued_at := null;
        next_at := null;
    end if;
    fire_at := least(jittered(schedule.name, next_at, schedule.jitter), case when queued_at is not null then now() + interval '1 s' end);
end
$$;
comment on function plan_schedule is 'What is to be done about a schedule.';
