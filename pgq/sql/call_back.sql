-- call_back(callers, event): enqueues the callbacks for an event (on_success, on_failure, on_retry) of those of these jobs that have one, as the job asked
-- that was enqueued with them: in the transaction in which the event happens, whether their queues are full or not, since what happened
-- cannot be refused. The metadata of a callback say of which job it is, and what became of that: {"callback": {"job_id", "kind", "event", "state", "attempt",
-- "error"}}, the error cut at 2,000 characters. Internal: whatever ends jobs and attempts, in a statement after the one that does.
create function call_back(callers bigint[], event text) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    caller_ids bigint[];
    callbacks jsonb;
    queues text[];
begin
    select array_agg(j.id order by u.place), jsonb_agg(j.spec -> 'callbacks' -> event order by u.place)
    into caller_ids, callbacks
    from unnest(callers) with ordinality u(id, place)
    cross join lateral (select id, spec from jobs where jobs.id = u.id offset 0) j
    where j.spec -> 'callbacks' ? event;
    if caller_ids is null then
        return;
    end if;
    with input as materialized (
        select nextval('jobs_id_seq') as id, i.*, now() + i.delay as due, j.enqueued_by,
               jsonb_strip_nulls(jsonb_build_object(
                   'job_id', j.id, 'kind', j.kind, 'event', event,
                   'state', case when f.state is not null then f.state when e.run_at is null then 'ready' else 'scheduled' end,
                   'attempt', coalesce(f.attempt, e.attempt),
                   'error', left(case when f.state is null then e.error else f.error end, 2000))) as about
        from jobs_from_json(callbacks) i
        cross join lateral (select id, kind, enqueued_by from jobs where jobs.id = caller_ids[i.index + 1] offset 0) j
        left join lateral (select state, attempt, error from results where job_id = j.id offset 0) f on true
        left join lateral (
            select attempt, error, run_at from attempt_errors where job_id = j.id order by attempt desc limit 1) e on true
    ), added as (
        insert into jobs (id, queue, kind, priority, max_attempts, timeout, backoff, result_ttl, expires_at, tags, metadata, codec, payload, args, enqueued_by)
        select id, queue, kind, priority, max_attempts, timeout, backoff, result_ttl, now() + ttl, tags,
               coalesce(metadata, '{}') || jsonb_build_object('callback', about), codec, payload, args, enqueued_by
        from input
    ), delayed as (
        insert into scheduled (job_id, queue, run_at) select id, queue, due from input where due > now()
    ), mortal as (
        insert into expiries (expires_at, job_id) select now() + ttl, id from input where ttl is not null
    ), added_ready as (
        insert into ready (queue, priority, seq, job_id, kind)
        select queue, priority, id, id, kind from input where due is null or due <= now()
    ), told as (
        insert into events (job_id, queue, type)
        select id, queue, 'enqueued' from input where events_wanted() and wants_event(queue, false)
    )
    select array_agg(distinct queue) into queues from input;
    perform wake(queues);
end
$$;
comment on function call_back is 'Enqueues callbacks of jobs.';
