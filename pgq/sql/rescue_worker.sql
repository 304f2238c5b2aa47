-- rescue_worker(worker_id, at_most): ends up to at_most attempts of a worker that is dead: they run again while
-- attempts are left, else their jobs have failed. Takes the worker off the register once it holds nothing.
-- What others have locked is left for the next time: a process may have been stopped for good in the middle of a transaction that
-- completes a job or records a step, for which nobody else's jobs shall wait.
-- Returns how many attempts were ended. Internal: rescue and retire_worker.
create function rescue_worker(worker_id bigint, at_most integer) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
    held record;
    ended integer;
begin
    select array_agg(r.job_id) as ids, array_agg(r.attempt) as attempts into held
    from (
        select job_id, attempt from running where worker_id = rescue_worker.worker_id
        order by job_id limit at_most
        for update skip locked) r;
    if held.ids is null then
        delete from workers
        where id = rescue_worker.worker_id and dead_at is not null
          and not exists (select from running r where r.worker_id = rescue_worker.worker_id);
        return 0;
    end if;
    select count(*) into ended
    from end_attempts(rescue_worker.worker_id, held.ids, held.attempts,
        array_fill('retry'::text, array[cardinality(held.ids)]),
        array_fill(interval '0', array[cardinality(held.ids)]),
        array_fill(format('lease lost: worker %s stopped', rescue_worker.worker_id), array[cardinality(held.ids)]),
        array_fill('{"lease_lost": true}'::jsonb, array[cardinality(held.ids)]));
    return ended;
end
$$;
comment on function rescue_worker is 'Ends attempts of a dead worker.';
