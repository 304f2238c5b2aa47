-- retry(job_ids, reason, actor): runs jobs again now: finished ones, whatever their state, with at least one attempt more,
-- and scheduled ones without waiting for their time. Attempts go on counting.
-- Outcome per job: ready (also when it was already), waiting (for other jobs, or in the line of its sequence), running, finished (a DAG, sub-DAG, map or gate
-- of which nothing was to run again), not_found. A node of a DAG that has
-- ended takes along those of its descendants that were skipped, and the DAG; a DAG its failed nodes (see dag_retry).
-- A job of a sequence waits until no other one of that is under way; one that has stopped it lets it go on.
-- actor is who does it, the session's user by default; reason and actor are kept with the events.
-- Raises PQ006 when a job becomes the parent of others at this moment. Locks: for nodes the chores and the DAGs; then what withdraw locks, or rows of results by job.
-- roles: operator
create function retry(job_ids bigint[], reason text default null, actor text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone record;
    moved bigint[];
    linked bigint[];
    reopened bigint[] := '{}';
    queued bigint[];
begin
    linked := array(
        select j.id from jobs j
        where j.id = any(job_ids)
          and (j.dag_id is not null or j.role is not null or exists (select from edges e where e.parent_id = j.id offset 0)));
    if linked <> '{}' then
        perform pg_advisory_xact_lock(advisory_key('chores'));
        perform lock_dags(linked);
        reopened := dag_reset(linked || array(
            select m.id from jobs m join results f on f.job_id = m.id
            where m.dag_id = any(linked) and f.state in ('failed', 'cancelled', 'expired')), operator_data(reason, actor));
    end if;
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by array_position('{waiting,scheduled,ready,running}', p.place), p.place loop
            if found_at.place in ('ready', 'running', 'waiting', 'not_found') then
                return query select id, found_at.place from unnest(found_at.ids) id;
                continue;
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
                continue;
            elsif found_at.place = 'scheduled' then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw(found_at.ids) w;
            elsif found_at.ids && linked then
                -- What ends again at once runs no handler; what has ended since takes others along, too.
                return query select id, 'finished' from unnest(found_at.ids) id where id = any(reopened);
                found_at.ids := array(select unnest(found_at.ids) except select unnest(reopened));
                reopened := reopened || dag_reset(array(select id from unnest(found_at.ids) id where id = any(linked)), operator_data(reason, actor));
                moved := moved || found_at.ids;
                continue;
            else
                perform f.job_id from results f where f.job_id = any(found_at.ids) order by f.job_id for update;
                if exists (select from edges e where e.parent_id = any(found_at.ids)) then
                    perform too_busy(found_at.ids);
                end if;
                with taken as (
                    delete from results f where f.job_id = any(found_at.ids) returning f.job_id, f.attempt, f.queue
                ), extended as (
                    update jobs j
                    set max_attempts = greatest(coalesce(j.max_attempts, s.max_attempts), r.attempt + 1), expires_at = null
                    from taken r, settings_of(r.queue) s
                    where j.id = r.job_id
                )
                select coalesce(array_agg(r.job_id order by r.job_id), '{}') as ids,
                       array_agg(r.attempt order by r.job_id) as attempts
                into gone from taken r;
            end if;
            perform record_event('retry_requested', j.id, j.queue, data => operator_data(reason, actor)) from jobs j where j.id = any(gone.ids);
            queued := retry_in_line(gone.ids, gone.attempts, found_at.place);
            return query select id, case when id = any(queued) then 'waiting' else 'ready' end from unnest(gone.ids) id;
            moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
        end loop;
        if moved = '{}' then
            return;
        end if;
        pending := moved;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function retry is 'Runs jobs again now: finished ones with at least one attempt more, scheduled ones without waiting. Says of each: ready, waiting, running, finished or not_found.';
