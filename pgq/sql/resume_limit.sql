-- resume_limit(scope, name, reason, actor): ends what pause_limit began, and closes a circuit breaker. Returns whether there was
-- something to end. Writes an event "resumed", or "breaker_closed". Locks: the row of gates.
-- roles: operator
create function resume_limit(scope text, name text, reason text default null, actor text default null) returns boolean
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
        set paused_until = null, paused_by = null, pause_reason = null, failed_at = null, opened_at = null, probe_at = null, probe_id = null, probe_attempt = null
        where g.scope = resume_limit.scope and g.name = resume_limit.name;
    end if;
    perform drop_gate(scope, name);
    if was.opened_at is not null then
        perform record_operation('breaker_closed', case scope when 'queue' then name end,
            operator_data(reason, actor, jsonb_build_object('scope', scope, 'name', name, 'opened_at', was.opened_at)));
    elsif ended then
        perform record_operation('resumed', case scope when 'queue' then name end,
            operator_data(reason, actor, jsonb_build_object('scope', scope, 'name', name)));
    end if;
    perform wake_turns(scope, name);
    return ended;
end
$$;
comment on function resume_limit is 'Ends the pause of a queue, a kind or a group and closes its circuit breaker. Returns whether there was something to end.';
