-- explain_deepest(id): the job for which a waiting job waits in the end: from parent to parent, the first that does not
-- wait for another, or the job itself. Prefers parents that do not wait. Internal: explain. Goes at most 1,000 steps.
create function explain_deepest(id bigint) returns bigint
language plpgsql stable
as $$
#variable_conflict use_column
declare
    deepest bigint := explain_deepest.id;
    next bigint;
begin
    for i in 1 .. 1000 loop
        exit when not exists (
            select from waiting w
            where w.job_id = deepest and w.pending > 0 and not w.held and w.ending is null
              and coalesce(w.role, '') not in ('signal', 'items', 'turn'));
        next := (
            select e.parent_id
            from (select parent_id from edges where child_id = deepest offset 0) e
            left join lateral (select job_id from results where job_id = e.parent_id offset 0) f on true
            left join waiting w on w.job_id = e.parent_id
            where f.job_id is null
            order by (w.pending > 0 and not w.held) is true, e.parent_id
            limit 1);
        exit when next is null;
        deepest := next;
    end loop;
    return deepest;
end
$$;
comment on function explain_deepest is 'The job for which a waiting job waits in the end.';
