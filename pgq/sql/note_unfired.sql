-- note_unfired(name, times, outcome): notes times of a schedule that did not fire, missed or overlapped. Those that follow each
-- other are one row: the first of them, and how many; of missed ones only the first is known. Internal: fire_schedules.
create function note_unfired(name text, times timestamptz[], outcome text) returns void
language plpgsql
as $$
begin
    update schedule_runs r
    set times = r.times + cardinality(note_unfired.times), fired_at = now()
    where (r.schedule, r.due_at) = (
            select l.schedule, l.due_at from schedule_runs l
            where l.schedule = note_unfired.name order by l.due_at desc limit 1)
      and r.outcome = note_unfired.outcome
      and r.due_at <= note_unfired.times[1];
    if not found then
        insert into schedule_runs (schedule, due_at, outcome, times)
        values (note_unfired.name, note_unfired.times[1], note_unfired.outcome,
                case when note_unfired.outcome <> 'missed' then cardinality(note_unfired.times) end)
        on conflict do nothing;
    end if;
end
$$;
comment on function note_unfired is 'Notes times of a schedule that did not fire.';
