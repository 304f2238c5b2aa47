-- reschedule(job_ids, run_at, delay, reason, actor): moves jobs that wait (ready or scheduled) to another time, or to delay from now; a time
-- that is past makes them ready. Outcome per job: scheduled, ready, running, waiting (for other jobs), finished (use retry), not_found.
-- Raises PQ001 when run_at is missing or infinite, or given together with delay.
-- actor is who does it, the session's user by default; reason and actor are kept with the events.
-- roles: operator
create function reschedule(job_ids bigint[], run_at timestamptz default null, delay interval default null, reason text default null, actor text default null)
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone record;
    moved bigint[];
begin
    if reschedule.delay is not null then
        if reschedule.run_at is not null then
            perform invalid('delay', 'must not be given together with run_at');
        elsif reschedule.delay not between interval '-100 years' and interval '100 years' then
            perform invalid('delay', 'must be at most 100 years');
        end if;
        reschedule.run_at := now() + reschedule.delay;
    end if;
    if reschedule.run_at is null or not isfinite(reschedule.run_at) then
        perform invalid('run_at', 'must be finite');
    end if;
    perform lock_dags(job_ids);
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by array_position('{waiting,scheduled,ready,running}', p.place), p.place loop
            if found_at.place in ('ready', 'scheduled') then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw(found_at.ids) w;
                if reschedule.run_at > now() then
                    insert into scheduled (job_id, queue, run_at, attempt)
                    select u.id, u.queue, reschedule.run_at, u.attempt
                    from unnest(gone.ids, gone.queues, gone.attempts) u(id, queue, attempt);
                else
                    perform put_ready(gone.ids, gone.attempts);
                end if;
                perform record_event('rescheduled', u.id, u.queue, u.attempt, null, operator_data(reason, actor, jsonb_build_object('run_at', reschedule.run_at)))
                from unnest(gone.ids, gone.queues, gone.attempts) u(id, queue, attempt);
                return query
                    select id, case when reschedule.run_at > now() then 'scheduled' else 'ready' end from unnest(gone.ids) id;
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
            else
                return query
                    select id, case when found_at.place in ('running', 'waiting', 'not_found') then found_at.place else 'finished' end
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
comment on function reschedule is 'Moves jobs that wait to another time, or to delay from now; a time that is past makes them ready. Says of each: scheduled, ready, running, waiting, finished or not_found.';
