-- resume_limit(scope, name): ends what pause_limit began. Returns whether there was a pause. Locks: the row of gates.
-- roles: operator
create function resume_limit(scope text, name text) returns boolean
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    ended boolean;
begin
    perform check_scope(scope, name);
    update gates g set paused_until = null, pause_reason = null
    where g.scope = resume_limit.scope and g.name = resume_limit.name and g.paused_until > clock_timestamp();
    ended := found;
    perform wake_turns(scope, name);
    return ended;
end
$$;
comment on function resume_limit is 'Ends the pause of a queue, a kind or a group. Returns whether there was one.';
