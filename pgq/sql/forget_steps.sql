-- forget_steps(job_ids, names): forgets what handlers of finished and scheduled jobs have kept: all of it, or the steps, cursors, sleeps and
-- signals of these names. retry goes on after the last step that was recorded; after this, in the same transaction, it begins anew.
-- Outcome per job: forgotten, also if there was nothing; else the place where it is and is left as it is: ready, waiting, running; not_found.
-- Locks: rows of scheduled and results by job.
-- roles: operator
create function forget_steps(job_ids bigint[], names text[] default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    held bigint[];
begin
    held := array(select s.job_id from scheduled s where s.job_id = any(job_ids) order by s.job_id for update);
    held := held || array(select f.job_id from results f where f.job_id = any(job_ids) order by f.job_id for update);
    delete from steps s where s.job_id = any(held) and (names is null or s.name = any(names));
    return query select id, 'forgotten' from unnest(held) id;
    return query
        select p.job_id, case when p.place in ('ready', 'waiting', 'running', 'not_found') then p.place else 'ready' end
        from places(array(select unnest(job_ids) except select unnest(held))) p;
end
$$;
comment on function forget_steps is 'Forgets what handlers of jobs have kept.';
