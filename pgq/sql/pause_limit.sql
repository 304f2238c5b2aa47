-- pause_limit(scope, name, delay, reason, actor): keeps jobs of a queue, a kind or a group from starting for a time, as when a foreign service asks to
-- be left alone: running ones go on, and a longer pause stays. resume_limit ends it. Needs no limit. The pause of a group is of that name only.
-- actor is who does it, the session's user by default. Writes an event "paused" when a pause begins, of a longer one only where an actor is given:
-- workers make it longer all the time.
-- Raises PQ001 for a delay that is missing, not positive or above 366 days. Locks: the row of gates.
-- roles: worker, operator
create function pause_limit(scope text, name text, delay interval, reason text default null, actor text default null) returns void
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    until constant timestamptz := clock_timestamp() + greatest(interval '0', least(delay, interval '366 days'));
    was timestamptz;
begin
    perform check_scope(scope, name);
    if scope = 'group' then
        perform invalid(p.problem[1], p.problem[2]) from group_problem(name) p(problem) where p.problem is not null;
    end if;
    if delay is null or delay <= interval '0' or delay > interval '366 days' then
        perform invalid('delay', 'must be positive and at most 366 days');
    end if;
    select g.paused_until into was from gates g where g.scope = pause_limit.scope and g.name = pause_limit.name;
    insert into gates as g (scope, name, paused_until, paused_by, pause_reason)
    values (scope, name, until, coalesce(actor, session_user::text), reason)
    on conflict on constraint gates_pkey do update
    set paused_until = excluded.paused_until, paused_by = excluded.paused_by, pause_reason = excluded.pause_reason
    where g.paused_until is null or g.paused_until < excluded.paused_until;
    if not found then
        return;
    end if;
    if actor is not null or was is null or was < clock_timestamp() then
        perform record_operation('paused', case scope when 'queue' then name end,
            operator_data(reason, actor, jsonb_build_object('scope', scope, 'name', name, 'until', until)));
    end if;
end
$$;
comment on function pause_limit is 'Keeps jobs of a queue, a kind or a group from starting for a time.';
