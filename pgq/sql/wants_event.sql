-- wants_event(queue_name, change): whether an event of this queue is to be written. Change: it says
-- more than that the job went its usual way (retried, failed, cancelled ...).
create function wants_event(queue_name text, change boolean) returns boolean
language plpgsql stable
as $$
begin
    return exists (select from subscribers where alive_until > now())
        or (select case s.events when 'all' then true when 'changes' then change else false end
            from settings_of(queue_name) s);
end
$$;
comment on function wants_event is 'Whether an event of a queue is to be written.';
