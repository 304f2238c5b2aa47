-- pause_schedule(name, reason, actor): keeps a schedule from firing; what it has enqueued goes on. Idempotent: the first pause's
-- time, reason and name stay. actor is who does it, the user of the session by default. Raises PQ004 when there is
-- none. Locks: its row.
-- roles: operator
create function pause_schedule(name text, reason text default null, actor text default null) returns void
language plpgsql security definer set search_path from current
as $$
begin
    if (find_schedule(pause_schedule.name)).paused_at is null then
        update schedules s
        set paused_at = now(), pause_reason = reason, paused_by = coalesce(pause_schedule.actor, session_user::text), fire_at = null, updated_at = now()
        where s.name = pause_schedule.name;
    end if;
end
$$;
comment on function pause_schedule is 'Keeps a schedule from firing.';
