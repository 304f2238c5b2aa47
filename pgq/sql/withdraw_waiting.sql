-- withdraw_waiting(job_ids, unstarted_only): takes jobs out of waiting; those that were there, and their attempts so far.
-- DAGs and maps under way stay: they end when their nodes have ended. Internal: the caller puts the jobs somewhere else.
-- Locks: rows of waiting in the order of their ids; waits for others.
create function withdraw_waiting(job_ids bigint[], unstarted_only boolean default false)
returns table (job_id bigint, queue text, attempt integer)
language plpgsql
as $$
#variable_conflict use_column
begin
    perform w.job_id from waiting w where w.job_id = any(job_ids) order by w.job_id for update;
    return query
        delete from waiting w
        where w.job_id = any(job_ids)
          and (w.role is null or w.role not in ('dag', 'items'))
          and (w.attempt = 0 or not unstarted_only)
        returning w.job_id, w.queue, w.attempt;
end
$$;
comment on function withdraw_waiting is 'Takes jobs out of waiting.';
