-- hold(job_ids, running_too): locks the rows that say where jobs are, so that they stay there until the transaction ends;
-- those that it could lock, and where they are. Who is moved at this moment may be left out. Internal: change_jobs.
-- Workers that want to claim skip what is locked; running jobs end meanwhile, unless running_too.
-- Locks, waiting for others: waiting by job, scheduled by job, ready by key, running by job if asked, results by job. Then
-- once more what has become ready meanwhile, skipping what is locked.
create function hold(job_ids bigint[], running_too boolean) returns table (job_id bigint, place text)
language plpgsql
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
begin
    return query
        select w.job_id, 'waiting' from waiting w where w.job_id = any(job_ids) order by w.job_id for update;
    return query
        select s.job_id, 'scheduled' from scheduled s where s.job_id = any(job_ids) order by s.job_id for update;
    return query
        with runs as materialized (
            select r.job_id, r.size
            from (select * from runs_of(job_ids) order by queue, priority, seq) h
            cross join lateral (
                select x.job_id, x.size from ready x
                where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq
                offset 0
                for update) r
        )
        select id, 'ready' from runs r cross join lateral generate_series(r.job_id, r.job_id + r.size - 1) id where id = any(job_ids);
    if running_too then
        return query
            select r.job_id, 'running' from running r where r.job_id = any(job_ids) order by r.job_id for update;
    end if;
    return query
        select f.job_id, 'finished' from results f where f.job_id = any(job_ids) order by f.job_id for update;
    -- Rests of runs that were split while the statement above waited for them.
    return query
        with runs as materialized (
            select r.job_id, r.size
            from (select * from runs_of(job_ids) order by queue, priority, seq) h
            cross join lateral (
                select x.job_id, x.size from ready x
                where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq
                offset 0
                for update skip locked) r
        )
        select id, 'ready' from runs r cross join lateral generate_series(r.job_id, r.job_id + r.size - 1) id where id = any(job_ids);
end
$$;
comment on function hold is 'Locks the rows that say where jobs are.';
