-- delete_limit(scope, name): takes the limit of a queue, kind or group away. Returns whether there was one.
-- Raises PQ001 for a scope that is none. Locks: the row of limits.
-- roles: operator
create function delete_limit(scope text, name text) returns boolean
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    gone boolean;
begin
    perform check_scope(scope, name);
    delete from limits l where l.scope = delete_limit.scope and l.name = delete_limit.name;
    gone := found;
    perform wake_turns(scope, name);
    return gone;
end
$$;
comment on function delete_limit is 'Takes a limit away. Returns whether there was one.';
