-- pause_limit(scope, name, delay, reason): keeps jobs of a queue, a kind or a group from starting for a time, as when a foreign service asks to
-- be left alone: running ones go on, and a longer pause stays. resume_limit ends it. Needs no limit. The pause of a group is of that name only.
-- Raises PQ001 for a delay that is missing, not positive or above 366 days. Locks: the row of gates.
-- roles: worker, operator
create function pause_limit(scope text, name text, delay interval, reason text default null) returns void
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
begin
    perform check_scope(scope, name);
    if scope = 'group' then
        perform invalid(p.problem[1], p.problem[2]) from group_problem(name) p(problem) where p.problem is not null;
    end if;
    if delay is null or delay <= interval '0' or delay > interval '366 days' then
        perform invalid('delay', 'must be positive and at most 366 days');
    end if;
    insert into gates as g (scope, name, paused_until, pause_reason)
    values (scope, name, clock_timestamp() + delay, reason)
    on conflict on constraint gates_pkey do update
    set paused_until = excluded.paused_until, pause_reason = excluded.pause_reason
    where g.paused_until is null or g.paused_until < excluded.paused_until;
end
$$;
comment on function pause_limit is 'Keeps jobs of a queue, a kind or a group from starting for a time.';
