-- pin_ready(job_ids, exclusively): keeps jobs in ready until the transaction ends, and returns those that are there. One may be missed
-- when somebody splits its run at the same moment: callers look again. Internal.
-- Locks, shared unless exclusively: rows of ready by key.
create function pin_ready(job_ids bigint[], exclusively boolean default false) returns setof bigint
language plpgsql
as $$
#variable_conflict use_column
begin
    if exclusively then
        return query
            select h.job_id
            from (select * from ready_rows(job_ids) order by queue, priority, seq) h
            cross join lateral (
                select from ready x where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq offset 0 for update) r;
    else
        return query
            select h.job_id
            from (select * from ready_rows(job_ids) order by queue, priority, seq) h
            cross join lateral (
                select from ready x where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq offset 0 for share) r;
    end if;
end
$$;
comment on function pin_ready is 'Keeps jobs in ready until the transaction ends.';
