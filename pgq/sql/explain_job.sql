-- explain_job(id): why a job does not run, in plain words, most decisive first; job_id is the job that a line is about.
-- Raises PQ004 when there is no such job. Looks at bounded numbers of parents and jobs. Locks nothing.
--
-- reason is one of: completed, failed, cancelled, expired, skipped (how it ended), cause (the job whose failure is the
-- reason, and through which parents that came); running, late worker, cancelling; ending (a DAG or map that lets its nodes
-- end); held, DAG held; answer (an external node that is open), sleeping; items (a map under way), window (an item that
-- waits for others of its map); parents (for how many it waits), parent (each of them, the first ten), blocked (for what
-- waiting parents wait in the end), news (all parents have ended, which the job hears in a moment); sequence (jobs are ahead of it in its
-- sequence), head (the one that is at it), sequence stopped, handing over (the next one of the sequence is looked for); delayed, retrying,
-- snoozed, signal (its handler waits for one), due; queue paused, no worker, unknown kind, queued (jobs are ahead of it), workers busy, next; lost.
-- roles: operator, reader
create function explain_job(id bigint)
returns table (reason text, detail text, job_id bigint)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    return query select e.reason, e.detail, e.job_id from explain_one(explain_job.id) e;
end
$$;
comment on function explain_job is 'Why a job does not run.';
