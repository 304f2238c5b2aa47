-- delete_limit(scope, name, reason, actor): takes the limit of a queue, kind or group away. Returns whether there was one. Writes an event "limit_deleted".
-- Raises PQ001 for a scope that is none. Locks: the row of limits, then that of gates.
-- roles: operator
create function delete_limit(scope text, name text, reason text default null, actor text default null) returns boolean
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    gone boolean;
begin
    perform check_scope(scope, name);
    delete from limits l where l.scope = delete_limit.scope and l.name = delete_limit.name;
    gone := found;
    perform drop_gate(scope, name);
    if gone then
        perform record_operation('limit_deleted', case scope when 'queue' then name end,
            operator_data(reason, actor, jsonb_build_object('scope', scope, 'name', name)));
    end if;
    perform wake_turns(scope, name);
    return gone;
end
$$;
comment on function delete_limit is 'Takes a limit away. Returns whether there was one.';
