-- rearrange(job_ids, to_queue, to_priority, told): gives jobs that are ready or scheduled another queue or priority (null: leaves
-- it). Ready ones come behind those that are ready there already; scheduled ones keep their time. Outcome per job: changed,
-- unchanged (it has them), running, waiting (for other jobs), finished, not_found. told: who does it and why, for the events.
-- Internal: move, set_priority.
-- Locks: the DAGs; rows of scheduled by job, then what withdraw locks.
create function rearrange(job_ids bigint[], to_queue text, to_priority smallint, told jsonb) returns table (job_id bigint, outcome text)
language plpgsql
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone record;
    missed bigint[];
begin
    perform lock_dags(job_ids);
    for round in 1 .. 100 loop
        missed := '{}';
        for found_at in
            select p.place, array_agg(p.job_id order by p.job_id) as ids
            from (select p.job_id,
                         case when p.place in ('ready', 'scheduled') and j.queue = coalesce(to_queue, j.queue)
                                   and j.priority = coalesce(to_priority, j.priority) then 'unchanged' else p.place end as place
                  from places(pending) p
                  left join lateral (select queue, priority from jobs where jobs.id = p.job_id offset 0) j on true) p
            group by p.place
            order by array_position('{scheduled,ready}', p.place)
        loop
            if found_at.place in ('scheduled', 'ready') then
                if found_at.place = 'scheduled' then
                    with locked as materialized (
                        select s.job_id from scheduled s where s.job_id = any(found_at.ids) order by s.job_id for update
                    ), kept as (
                        update scheduled s set queue = coalesce(to_queue, s.queue)
                        where s.job_id = any(array(select l.job_id from locked l)) returning s.job_id, s.attempt
                    )
                    select coalesce(array_agg(k.job_id order by k.job_id), '{}') as ids, array_agg(k.attempt order by k.job_id) as attempts
                    into gone from kept k;
                else
                    select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids, array_agg(w.attempt order by w.job_id) as attempts
                    into gone from withdraw(found_at.ids) w;
                end if;
                perform record_event(
                    case when to_queue is null then 'priority_set' else 'moved' end, j.id, coalesce(to_queue, j.queue), null, null,
                    told || case when to_queue is null then jsonb_build_object('from', j.priority, 'to', to_priority)
                                 else jsonb_build_object('from', j.queue, 'to', to_queue) end)
                from jobs j where j.id = any(gone.ids);
                update jobs j set queue = coalesce(to_queue, j.queue), priority = coalesce(to_priority, j.priority)
                where j.id = any(gone.ids);
                if found_at.place = 'ready' then
                    perform put_ready(gone.ids, gone.attempts);
                end if;
                return query select id, 'changed' from unnest(gone.ids) id;
                missed := missed || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'lost' then
                missed := missed || found_at.ids;
            else
                return query
                    select id, case when found_at.place in ('unchanged', 'running', 'waiting', 'not_found') then found_at.place else 'finished' end
                    from unnest(found_at.ids) id;
            end if;
        end loop;
        if missed = '{}' then
            return;
        end if;
        pending := missed;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function rearrange is 'Gives jobs that wait another queue or priority.';
