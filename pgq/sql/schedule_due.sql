-- schedule_due(schedule): which times of a schedule are to fire now, in order; when it is due next; and whether times were missed that
-- will not fire: the first of these. A time is missed when nobody has fired it for more than a minute, because nobody did
-- chores. What becomes of those says the policy: skip none of them fires; once: the last one does, unless one fires anyway; all: they
-- do, the last missed_limit of them. Internal: plan_schedule.
create function schedule_due(schedule schedules, out fire timestamptz[], out next_at timestamptz, out missed_at timestamptz)
language plpgsql stable
as $$
declare
    late constant timestamptz := now() - schedule.jitter - interval '1 min';
    due timestamptz := schedule.next_at;
    missed timestamptz[] := '{}';
begin
    fire := '{}';
    if due < late then
        if schedule.missed <> 'skip' then
            missed := recent_times(schedule, due, late, case schedule.missed when 'all' then schedule.missed_limit else 1 end);
        end if;
        missed_at := case when missed[1] > due or missed = '{}' then due end;
        due := schedule_next(schedule, late - interval '1 microsecond');
    end if;
    while jittered(schedule.name, due, schedule.jitter) <= now() loop
        fire := fire || due;
        due := schedule_next(schedule, due);
    end loop;
    if schedule.missed = 'once' and missed <> '{}' and fire <> '{}' then
        missed_at := schedule.next_at;
    else
        fire := missed || fire;
    end if;
    next_at := due;
    if schedule.runs + cardinality(fire) >= schedule.max_runs then
        fire := fire[:schedule.max_runs - schedule.runs];
        next_at := null;
    end if;
end
$$;
comment on function schedule_due is 'Which times of a schedule are to fire now.';
