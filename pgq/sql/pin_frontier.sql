-- pin_frontier(job_ids): keeps what is left over in the frontier of these finished jobs there until the transaction ends, so that
-- whoever counts them as parents (recount) and the chores agree on which children have been told. Internal: pin.
-- Locks, shared: rows of frontier by their keys. What the chores put back meanwhile is looked for again.
create function pin_frontier(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    pinned tid[];
begin
    for round in 1 .. 100 loop
        pinned := array(
            select u.ctid from frontier u where u.parent_id = any(job_ids) order by u.parent_id, u.first_child for share);
        if not exists (select from frontier u where u.parent_id = any(job_ids) and u.ctid <> all(pinned)) then
            return;
        end if;
    end loop;
    perform too_busy(job_ids);
end
$$;
comment on function pin_frontier is 'Keeps what is left over of jobs in the frontier.';
