-- end_attempts(worker_id, job_ids, attempts, verdict, delays, errors, details): ends attempts that the worker
-- holds in any way but success. Internal: fail, snooze, release and rescue are its forms.
-- Verdicts: retry (failed; again while attempts are left), fail (failed for good), cancel,
-- snooze (again after the delay; the attempt does not count), release (again now; does not count).
-- A job whose cancellation was asked for is cancelled whatever the verdict; its error begins with why that was.
-- Returns the jobs that were ended and where they are now: ready, scheduled, failed or cancelled.
-- A missing job: its lease is lost; nothing was changed for it.
-- Failed attempts count for circuit breakers, but not those whose worker died.
-- Why attempts failed is kept in attempt_errors, the last 100 of a job.
-- Locks: rows of running in the order of their ids; then what propagate and advance_sequences lock.
create function end_attempts(
    worker_id bigint, job_ids bigint[], attempts integer[], verdicts text[], delays interval[],
    errors text[], details jsonb[])
returns table (job_id bigint, outcome text)
language plpgsql
as $$
#variable_conflict use_column
declare
    now constant timestamptz := clock_timestamp();
    woken text[];
    ids bigint[];
    numbers integer[];
    places integer[]; -- where in the arguments the sorted ones are
    done record;
begin
    select array_agg(u.id order by u.id), array_agg(u.attempt order by u.id), array_agg(u.place::integer order by u.id)
    into ids, numbers, places
    from unnest(job_ids, attempts) with ordinality u(id, attempt, place)
    where u.id is not null;
    -- By "= any", without bitmaps, the rows are found by their keys and locked in the order of them; a join might
    -- walk all of running, dead rows included.
    with gone as (
        delete from running r
        where r.job_id = any(ids)
          and r.worker_id = end_attempts.worker_id
          and r.attempt = numbers[width_bucket(r.job_id, ids)]
        returning r.*, places[width_bucket(r.job_id, ids)] as place
    ), ended as (
        select g.*, verdicts[place] as verdict, delays[place] as delay, left(nullif(concat_ws(': ', g.cancel_reason, errors[place]), ''), 20000) as error, errors[place] as own_error,
               details[place] as detail
        from gone g
    ), judged as materialized (
        select e.job_id, e.queue, e.attempt, e.claimed_at, e.result_ttl, e.dag_id, e.verdict, e.error, left(e.own_error, 20000) as own_error, e.detail, e.slotted,
               j.kind, j.priority, j.spec -> 'callbacks' as callbacks,
               case
                   when e.cancel_requested_at is not null or e.verdict = 'cancel' then 'cancelled'
                   when e.verdict = 'fail' then 'failed'
                   when e.verdict = 'retry' and e.attempt >= coalesce(j.max_attempts, s.max_attempts) then 'failed'
                   when due.delay > interval '0' then 'scheduled'
                   else 'ready'
               end as outcome,
               e.attempt - case when e.verdict in ('snooze', 'release') then 1 else 0 end as counted,
               now + due.delay as run_at
        from ended e
        cross join lateral (select * from jobs where jobs.id = e.job_id offset 0) j
        cross join lateral settings_of(e.queue) s
        left join lateral (select backoff from kinds where kinds.name = j.kind offset 0) k on true
        cross join lateral (
            select case e.verdict
                when 'release' then interval '0'
                when 'snooze' then e.delay
                else greatest(interval '0', coalesce(e.delay, backoff_delay(coalesce(j.backoff, k.backoff, s.backoff), e.attempt)))
            end as delay) due
    ), again as (
        insert into ready (queue, priority, seq, job_id, attempt, kind, since)
        select queue, priority, nextval('jobs_id_seq'), job_id, counted, kind, now
        from judged
        where outcome = 'ready'
    ), later as (
        insert into scheduled (job_id, queue, run_at, attempt)
        select job_id, queue, run_at, counted
        from judged
        where outcome = 'scheduled'
    ), finished as (
        insert into results (job_id, queue, state, attempt, worker_id, claimed_at, finished_at, expires_at, error, dag_id)
        select job_id, queue, outcome, attempt, end_attempts.worker_id, claimed_at, now, now + result_ttl, error, dag_id
        from judged
        where outcome in ('failed', 'cancelled')
    ), kept as (
        insert into attempt_errors (job_id, attempt, worker_id, at, outcome, run_at, error, stack)
        select job_id, attempt, end_attempts.worker_id, now, outcome, case when outcome = 'scheduled' then run_at end, own_error,
               left(detail ->> 'stack', 20000)
        from judged
        where verdict in ('retry', 'fail')
        on conflict do nothing
    ), told as (
        insert into events (job_id, queue, type, attempt, worker_id, data)
        select job_id, queue,
               case
                   when outcome in ('failed', 'cancelled') then outcome
                   when verdict = 'retry' then 'retried'
                   else verdict || 'd'
               end,
               attempt, end_attempts.worker_id,
               nullif(jsonb_strip_nulls(coalesce(detail, '{}') || jsonb_build_object(
                   'error', error, 'run_at', case when outcome = 'scheduled' then run_at end)), '{}')
        from judged
        where wants_event(queue, verdict <> 'release')
    )
    select array_agg(job_id) as ids, array_agg(outcome) as outcomes,
           array_agg(job_id) filter (where outcome in ('failed', 'cancelled') and callbacks ? 'on_failure') as failing,
           array_agg(job_id) filter (where outcome in ('ready', 'scheduled') and verdict = 'retry' and callbacks ? 'on_retry') as retried,
           array_agg(job_id) filter (where outcome in ('failed', 'cancelled')) as finished,
           array_agg(job_id) filter (where attempt > 100) as old,
           array_agg(job_id) filter (where slotted) as slotted,
           array_agg(job_id) filter (where struck) as struck,
           array_agg(attempt) filter (where struck) as struck_attempts
    into done
    from (select *, verdict in ('retry', 'fail') and outcome <> 'cancelled' and not coalesce(detail ? 'lease_lost', false) as struck
          from judged) j;
    if done.slotted is not null then
        perform free_slots(done.slotted);
    end if;
    if done.struck is not null and exists (select from limits l where l.break_after is not null) then
        perform add_strikes(done.struck, done.struck_attempts);
    end if;
    if done.failing is not null then
        perform call_back(done.failing, 'on_failure');
    end if;
    if done.retried is not null then
        perform call_back(done.retried, 'on_retry');
    end if;
    if done.old is not null then
        delete from attempt_errors where ctid = any(array(
            select e.tid
            from unnest(ids, numbers) u(id, attempt)
            cross join lateral (
                select x.ctid as tid from attempt_errors x where x.job_id = u.id and x.attempt <= u.attempt - 100 offset 0) e
            where u.id = any(done.old)));
    end if;
    if exists (select from edges e where e.parent_id = any(done.finished)) then
        perform doom_dags(done.finished);
        perform propagate(done.finished);
    end if;
    if exists (select from sequences s where s.job_id = any(done.finished)) then
        perform advance_sequences(done.finished);
    end if;
    return query select id, o from unnest(done.ids, done.outcomes) u(id, o);
    woken := array(select distinct r.queue from ready_again(job_ids) r);
    if woken <> '{}' then
        perform wake(woken);
    end if;
    perform notify_subscribers();
end
$$;
comment on function end_attempts is 'Ends attempts in any way but success.';
