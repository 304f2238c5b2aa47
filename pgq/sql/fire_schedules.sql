-- fire_schedules(at_most): enqueues what up to at_most schedules are due to, soonest first, and notes when they are due next, all in one
-- transaction: each time that is due fires once, whoever does it and whatever breaks off. Returns how many
-- schedules were looked at: 0 when none is due or others have them. A chore of any worker.
--
-- A time for which the queue is full is tried again every 5 seconds, and counts as missed once it is late. What is refused for another
-- reason is noted (schedule_runs), and the schedule goes on with its next time.
-- Locks: rows of schedules, skipping those that others have locked; for the overlap policy cancel what cancel locks.
-- roles: worker, operator
create function fire_schedules(at_most integer default 1000) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    schedule schedules;
    plan record;
    looked_at text[] := '{}'; -- the schedules, and in parallel when they are due, fire, and wait for next
    next_times timestamptz[] := '{}';
    fire_times timestamptz[] := '{}';
    queued_times timestamptz[] := '{}';
    names text[] := '{}'; -- of what is to be fired, in parallel
    times timestamptz[] := '{}';
    targets jsonb[] := '{}';
    are_dags boolean[] := '{}';
    cancels bigint[] := '{}';
    ids bigint[];
    states text[];
    errors text[];
begin
    for schedule in
        select * from schedules s where s.fire_at <= now() order by s.fire_at limit within('at_most', at_most, 0, 1000000) for update skip locked
    loop
        plan := plan_schedule(schedule);
        looked_at := array_append(looked_at, schedule.name);
        next_times := array_append(next_times, plan.next_at);
        fire_times := array_append(fire_times, plan.fire_at);
        queued_times := array_append(queued_times, plan.queued_at);
        for i in 1 .. cardinality(plan.fire) loop
            names := array_append(names, schedule.name);
            times := array_append(times, plan.fire[i]);
            targets := array_append(targets, schedule_job(schedule, plan.fire[i]));
            are_dags := array_append(are_dags, schedule.dag is not null);
        end loop;
        cancels := cancels || plan.cancels;
        if plan.missed_at is not null then
            perform note_unfired(schedule.name, array[plan.missed_at], 'missed');
        end if;
        if plan.overlapped <> '{}' then
            perform note_unfired(schedule.name, plan.overlapped, 'overlapped');
        end if;
        exit when cardinality(names) >= 5 * at_most;
    end loop;
    if cancels <> '{}' then
        perform cancel_all(array(select id from unnest(cancels) id order by id), 'replaced by the next run of its schedule');
    end if;
    if names <> '{}' then
        select * into ids, states, errors from start_scheduled(names, targets, are_dags);
        perform note_fired(names, times, ids, states, errors);
    end if;
    -- A time that the queue was too full for is due again, with those after it.
    with plans as materialized (
        select p.name, max(p.next_at) as next_at, max(p.fire_at) as fire_at, max(p.queued_at) as queued_at,
               count(p.id) as runs, count(p.due_at) > 0 as has_fired, max(p.due_at) filter (where p.id is not null) as last_due_at,
               (array_agg(p.id order by p.due_at desc) filter (where p.id is not null))[1] as last_job_id,
               (array_agg(p.error order by p.due_at desc) filter (where p.due_at is not null))[1] as error,
               min(p.due_at) filter (where p.state = 'PQ002') as refused_at
        from (select l.*, null::timestamptz as due_at, null::bigint as id, null as state, null as error
              from unnest(looked_at, next_times, fire_times, queued_times) l(name, next_at, fire_at, queued_at)
              union all
              select f.name, null, null, null, f.due_at, f.id, f.state, f.error
              from unnest(names, times, ids, states, errors) f(name, due_at, id, state, error)) p
        group by p.name
    )
    update schedules s
    set next_at = coalesce(p.refused_at, p.next_at),
        fire_at = case when p.refused_at is null then p.fire_at else now() + interval '5 s' end,
        queued_at = case when p.refused_at is null then p.queued_at end,
        runs = s.runs + p.runs,
        last_due_at = coalesce(p.last_due_at, s.last_due_at),
        last_fired_at = case when p.last_job_id is null then s.last_fired_at else now() end,
        last_job_id = coalesce(p.last_job_id, s.last_job_id),
        error = case when p.has_fired then p.error else s.error end
    from plans p
    where s.name = p.name;
    return cardinality(looked_at);
end
$$;
comment on function fire_schedules is 'Enqueues what schedules are due to.';
