-- cancel(job_ids, reason): cancels jobs. Outcome per job: cancelled (it waited and is finished now), requested
-- (it runs: its worker is told to stop it; it ends as cancelled unless it completes first), finished
-- (nothing to cancel), not_found.
-- Locks: what withdraw locks, then rows of running in the order of their ids. Never undone half-way:
-- all in the caller's transaction.
create function cancel(job_ids bigint[], reason text default null) returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone record;
    moved bigint[];
begin
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by p.place loop
            if found_at.place in ('ready', 'scheduled') then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw(found_at.ids) w;
                perform settle(gone.ids, gone.queues, gone.attempts, 'cancelled', coalesce(reason, 'cancelled'));
                return query select id, 'cancelled' from unnest(gone.ids) id;
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'running' then
                with marked as (
                    update running r
                    set cancel_requested_at = coalesce(r.cancel_requested_at, now())
                    from (select job_id from running where job_id = any(found_at.ids) order by job_id for update) l
                    where r.job_id = l.job_id
                    returning r.job_id, r.queue, r.attempt, r.worker_id
                ), told as (
                    select m.job_id,
                           pg_notify(channel(), format('cancel %s %s %s', m.worker_id, m.job_id, m.attempt)),
                           record_event('cancel_requested', m.job_id, m.queue, m.attempt, m.worker_id,
                                        jsonb_strip_nulls(jsonb_build_object('reason', reason)))
                    from marked m
                )
                select coalesce(array_agg(t.job_id), '{}') as ids into gone from told t;
                return query select id, 'requested' from unnest(gone.ids) id;
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
            else
                return query
                    select id, case found_at.place when 'not_found' then 'not_found' else 'finished' end
                    from unnest(found_at.ids) id;
            end if;
        end loop;
        if moved = '{}' then
            return;
        end if;
        pending := moved;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function cancel is 'Cancels jobs.';
