-- set_priority(job_ids, priority, reason, actor): gives jobs that are ready or scheduled another priority, 0 (soonest) to 9. Ready ones come
-- behind those that are ready with that priority already; scheduled ones keep their time. Outcome per job: changed, unchanged
-- (it has that priority), running, waiting (for other jobs), finished, not_found. Raises PQ001 for a priority that is not 0 to 9.
-- actor is who does it, the session's user by default; reason and actor are kept with the events.
-- Locks: the DAGs; rows of scheduled by job, then what withdraw locks.
-- roles: operator
create function set_priority(job_ids bigint[], priority integer, reason text default null, actor text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
as $$
begin
    if set_priority.priority is null or set_priority.priority not between 0 and 9 then
        perform invalid('priority', 'must be 0 to 9');
    end if;
    return query select r.job_id, r.outcome from rearrange(job_ids, null, set_priority.priority::smallint, operator_data(reason, actor)) r;
end
$$;
comment on function set_priority is 'Gives jobs that wait another priority.';
