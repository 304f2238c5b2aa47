-- walk_completed(at_most): ids of completed jobs that were kept long enough. Internal: prune.
-- They have no index by time, which every completed job would pay for. Jobs complete more or less in the order of
-- their ids, so a walk along the ids from where the last one stopped (chores.position) finds what is due. It
-- stops at the first batch in which nothing is old enough for any queue. Once an hour it starts over, for jobs
-- that completed out of order; what lies before has mostly been deleted by then.
create function walk_completed(at_most integer) returns bigint[]
language plpgsql
as $$
declare
    shortest constant interval := (select min(keep_completed) from queues);
    start bigint;
    anew boolean;
    batch record;
    due bigint[] := '{}';
begin
    select case when last_run_at < now() - interval '1 hour' then 0 else position end,
           last_run_at < now() - interval '1 hour'
    into start, anew
    from chores where name = 'sweep' for update;
    for round in 1 .. 20 loop
        select coalesce(array_agg(w.job_id) filter (where w.is_due), '{}') as due,
               max(w.job_id) filter (where w.is_old) as last_old,
               min(w.job_id) filter (where not w.is_old) as first_young,
               max(w.job_id) as last
        into batch
        from (
            select f.job_id,
                   f.finished_at < now() - shortest as is_old,
                   f.finished_at < now() - s.keep_completed as is_due
            from (select * from results
                  where job_id > start and state = 'completed' and expires_at is null and dag_id is null
                  order by job_id limit at_most) f,
                 settings_of(f.queue) s) w;
        due := due || batch.due;
        exit when batch.last_old is null;
        -- Young ones at the end are the frontier: stay before them. Elsewhere they are out of order.
        start := case when batch.first_young > batch.last_old then batch.first_young - 1 else batch.last end;
        exit when cardinality(due) >= at_most or batch.first_young > batch.last_old;
    end loop;
    update chores
    set position = start, last_run_at = case when anew then now() else last_run_at end
    where name = 'sweep';
    return due;
end
$$;
comment on function walk_completed is 'Completed jobs that were kept long enough.';
