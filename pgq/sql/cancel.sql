-- cancel(job_ids, reason, actor): cancels jobs. Outcome per job: cancelled (it waited and is finished now), requested
-- (it runs: its worker is told to stop it; it ends as cancelled unless it completes first), finished
-- (nothing to cancel), not_found. A DAG, a sub-DAG and a map are cancelled with all their nodes; requested means that
-- some of these run. The children of a cancelled job take it as a failure.
-- actor: who does it, the session's user by default; it is kept with the events.
-- Locks: the DAGs; rows of waiting by job, what withdraw locks, then rows of running in the order of their ids. Never undone half-way:
-- all in the caller's transaction.
-- roles: operator
create function cancel(job_ids bigint[], reason text default null, actor text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone record;
    moved bigint[];
    groups bigint[];
begin
    perform lock_dags(job_ids);
    groups := array(select j.id from jobs j where j.id = any(job_ids) and j.role in ('dag', 'map') order by j.id);
    if groups <> '{}' then
        perform end_dags(groups, 'cancelled', coalesce(reason, 'cancelled'));
        pending := array(select id from unnest(pending) id union select m from members_of(groups) m);
    end if;
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by array_position('{waiting,scheduled,ready,running}', p.place), p.place loop
            if found_at.place in ('ready', 'scheduled') then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw(found_at.ids) w;
                perform settle(gone.ids, gone.queues, gone.attempts, 'cancelled', coalesce(reason, 'cancelled'), more => operator_data(null, actor));
                return query select id, 'cancelled' from unnest(gone.ids) id where id = any(job_ids);
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'waiting' then
                perform keep_waited(found_at.ids);
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw_waiting(found_at.ids) w;
                perform settle(gone.ids, gone.queues, gone.attempts, 'cancelled', coalesce(reason, 'cancelled'), more => operator_data(null, actor));
                return query select id, 'cancelled' from unnest(gone.ids) id where id = any(job_ids);
                moved := moved || array(
                    select unnest(found_at.ids) except select unnest(gone.ids)
                    except select w.job_id from waiting w where w.job_id = any(found_at.ids) and w.role in ('dag', 'items'));
            elsif found_at.place = 'running' then
                with marked as (
                    update running r
                    set cancel_requested_at = coalesce(r.cancel_requested_at, now()), cancel_reason = coalesce(r.cancel_reason, reason)
                    from (select job_id from running where job_id = any(found_at.ids) order by job_id for update) l
                    where r.job_id = l.job_id
                    returning r.job_id, r.queue, r.attempt, r.worker_id
                ), told as (
                    select m.job_id,
                           pg_notify(channel(), format('cancel %s %s %s', m.worker_id, m.job_id, m.attempt)),
                           record_event('cancel_requested', m.job_id, m.queue, m.attempt, m.worker_id,
                                        operator_data(reason, actor))
                    from marked m
                )
                select coalesce(array_agg(t.job_id), '{}') as ids into gone from told t;
                return query select id, 'requested' from unnest(gone.ids) id where id = any(job_ids);
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
            else
                return query
                    select id, case found_at.place when 'not_found' then 'not_found' else 'finished' end
                    from unnest(found_at.ids) id
                    where id = any(job_ids) and id <> all(groups);
            end if;
        end loop;
        if moved = '{}' then
            return query
                select id, case
                    when w.job_id is not null then 'requested'
                    when f.finished_at < now() then 'finished'
                    else 'cancelled' end
                from unnest(groups) id
                left join lateral (select job_id, role from waiting where job_id = id offset 0) w on true
                left join lateral (select finished_at from results where job_id = id offset 0) f on true
                where f.finished_at is not null or w.role in ('dag', 'items');
            return;
        end if;
        pending := moved;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function cancel is 'Cancels jobs. Says of each: cancelled, requested (it runs, and its worker is told to stop it), finished or not_found. reason: what its error will be.';
