-- resume_schedule(name): lets a paused schedule fire again; returns when it is due next (null: never again). Times that passed while it
-- was paused are not made up for. One that is not paused is left as it is. Raises PQ004 when there is none. Locks: its row.
-- roles: operator
create function resume_schedule(name text) returns timestamptz
language plpgsql security definer set search_path from current
as $$
declare
    schedule schedules := find_schedule(name);
begin
    if schedule.paused_at is not null then
        if schedule.next_at <= now() then
            schedule.next_at := schedule_next(schedule, now());
        end if;
        update schedules s
        set (paused_at, pause_reason, paused_by, next_at, fire_at, updated_at) = (
            null, null, null, schedule.next_at,
            least(jittered(s.name, schedule.next_at, s.jitter), case when s.queued_at is not null then now() end), now())
        where s.name = schedule.name;
    end if;
    return schedule.next_at;
end
$$;
comment on function resume_schedule is 'Lets a paused schedule fire again.';
