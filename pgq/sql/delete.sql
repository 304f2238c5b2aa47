-- delete(job_ids, reason, actor): deletes jobs with all that is known of them, unless they run; a DAG that has ended with all its nodes.
-- Outcome per job: deleted, running (cancel it first), node (of a DAG: delete that), not_found. The children of a job
-- that had not ended take its deletion as a failure; its sequence goes on, also one that it has stopped.
-- Writes an event "deleted" of each, with its kind and where it was; actor is who does it, the session's user by default.
-- Locks: the DAGs; what withdraw locks, or rows of results by job.
-- roles: operator
create function delete(job_ids bigint[], reason text default null, actor text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    taken record;
    gone bigint[];
    lined bigint[];
    moved bigint[];
begin
    perform lock_dags(job_ids);
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by array_position('{waiting,scheduled,ready,running}', p.place), p.place loop
            if exists (select from jobs j where j.id = any(found_at.ids) and j.dag_id is not null) then
                return query select j.id, 'node' from jobs j where j.id = any(found_at.ids) and j.dag_id is not null;
                found_at.ids := array(select j.id from jobs j where j.id = any(found_at.ids) and j.dag_id is null order by j.id);
            end if;
            if found_at.place = 'waiting' then
                -- Those in the line of a sequence can go.
                lined := array(select w.job_id from waiting w where w.job_id = any(found_at.ids) and w.sequence is not null);
                return query select id, 'running' from unnest(found_at.ids) id where id <> all(lined);
                found_at.ids := lined;
            end if;
            if found_at.place in ('running', 'not_found') then
                return query select id, found_at.place from unnest(found_at.ids) id;
                continue;
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
                continue;
            elsif found_at.place in ('ready', 'scheduled', 'waiting') then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into taken from (select job_id, queue, attempt from withdraw(case when found_at.place <> 'waiting' then found_at.ids end)
                      union all select job_id, queue, attempt from withdraw_waiting(case when found_at.place = 'waiting' then found_at.ids end)) w;
                -- Nobody can make them parents any more: those that are, are deleted from results, once all children know.
                if exists (select from edges e where e.parent_id = any(taken.ids)) then
                    perform settle(taken.ids, taken.queues, taken.attempts, 'cancelled', 'deleted', quiet => true);
                    moved := moved || found_at.ids;
                    continue;
                end if;
                gone := taken.ids;
            else
                with locked as materialized (
                    select f.job_id from results f
                    where f.job_id = any(found_at.ids)
                      and f.job_id <> all(untold_jobs())
                    order by f.job_id for update
                ), removed as (
                    delete from results f where f.job_id = any(array(select l.job_id from locked l)) returning f.job_id
                )
                select coalesce(array_agg(r.job_id), '{}') into gone from removed r;
            end if;
            perform record_event('deleted', j.id, j.queue, data => operator_data(reason, actor, jsonb_build_object('kind', j.kind, 'state', found_at.place)))
            from jobs j where j.id = any(gone);
            perform forget(gone || forget_members(gone));
            return query select id, 'deleted' from unnest(gone) id;
            moved := moved || array(select unnest(found_at.ids) except select unnest(gone));
        end loop;
        if moved = '{}' then
            return;
        end if;
        pending := moved;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function delete is 'Deletes jobs with all that is known of them, unless they run. Says of each: deleted, running, node or not_found.';
