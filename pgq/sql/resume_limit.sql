-- resume_limit(scope, name): ends what pause_limit began, and closes a circuit breaker. Returns whether there was
-- something to end. Locks: the row of gates.
-- roles: operator
create function resume_limit(scope text, name text) returns boolean
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    was gates;
    ended boolean;
begin
    perform check_scope(scope, name);
    select * into was from gates g where g.scope = resume_limit.scope and g.name = resume_limit.name for update;
    ended := was.opened_at is not null or coalesce(was.paused_until > clock_timestamp(), false);
    if ended then
        update gates g
        set paused_until = null, pause_reason = null, failed_at = null, opened_at = null, probe_at = null, probe_id = null, probe_attempt = null
        where g.scope = resume_limit.scope and g.name = resume_limit.name;
    end if;
    if was.opened_at is not null then
        perform record_event('breaker_closed', null, case scope when 'queue' then name end,
            data => jsonb_build_object('scope', scope, 'name', name, 'opened_at', was.opened_at));
    end if;
    perform wake_turns(scope, name);
    return ended;
end
$$;
comment on function resume_limit is 'Ends the pause of a queue, a kind or a group and closes its circuit breaker. Returns whether there was something to end.';
