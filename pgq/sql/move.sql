-- move(job_ids, queue, reason, actor): moves jobs that are ready or scheduled to another queue. Ready ones come behind those that are ready
-- there already; scheduled ones keep their time. Outcome per job: moved, unchanged (it is in that queue), running, waiting (for
-- other jobs), finished, not_found.
-- Raises PQ001 for a queue that no job may be in, PQ002 when the queue would be past its maximum depth.
-- actor is who does it, the session's user by default; reason and actor are kept with the events.
-- Locks: the DAGs; rows of scheduled by job, then what withdraw locks.
-- roles: operator
create function move(job_ids bigint[], queue text, reason text default null, actor text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
    problem constant text[] := job_problem('k', move.queue, 5, null, null, null, null, null, null, null, null, null, null, null, null);
    done record;
    some_moved boolean := false;
begin
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
    for done in select * from rearrange(move.job_ids, move.queue, null, operator_data(reason, actor)) loop
        some_moved := some_moved or done.outcome = 'changed';
        job_id := done.job_id;
        outcome := case done.outcome when 'changed' then 'moved' else done.outcome end;
        return next;
    end loop;
    if some_moved then
        perform check_depth(move.queue, 0, s.max_depth, null) from settings_of(move.queue) s where s.max_depth is not null;
    end if;
end
$$;
comment on function move is 'Moves jobs that wait to another queue.';
