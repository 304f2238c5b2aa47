-- enqueue_many(jobs): adds an array of jobs, [{"kind": …, "args": …, "queue": …}, …], with the fields
-- of enqueue (payload as base64), all or none; their ids in the order of the array.
--
--   select pgq.enqueue_many('[{"kind": "send_mail", "args": {"to": 1}}, {"kind": "tidy"}]');
--
-- Raises PQ001 with the index and field of the first job that breaks a rule, PQ002 for a full queue.
-- Jobs of one array that are alike in queue, priority and kind share ready rows (runs).
create function enqueue_many(jobs jsonb, wake_workers boolean default true) returns setof bigint
language plpgsql set search_path from current
as $$
declare
    ids bigint[];
    target record;
begin
    perform check_jobs_json(enqueue_many.jobs);
    ids := array(select nextval('jobs_id_seq')
                 from generate_series(1, jsonb_array_length(enqueue_many.jobs)));
    with input as materialized (
        select ids[i.index + 1] as id, i.*, coalesce(i.run_at, now() + i.delay) as due
        from jobs_from_json(enqueue_many.jobs) i
    ), added as (
        insert into jobs (id, queue, kind, priority, max_attempts, timeout, backoff, result_ttl, expires_at,
                          tags, metadata, codec, payload, args)
        select id, queue, kind, priority, max_attempts, timeout, backoff, result_ttl, now() + ttl,
               tags, metadata, codec, payload, args
        from input
    ), delayed as (
        insert into scheduled (job_id, queue, run_at)
        select id, queue, due from input where due > now()
    ), mortal as (
        insert into expiries (expires_at, job_id)
        select now() + ttl, id from input where ttl is not null
    ), islands as (
        select id, queue, priority, kind,
               id - row_number() over (partition by queue, priority, kind order by id) as island
        from input
        where due is null or due <= now()
    ), pieces as (
        select *, (row_number() over (partition by queue, priority, kind, island order by id) - 1) / max_run_size() as piece
        from islands
    ), runs as (
        insert into ready (queue, priority, seq, job_id, size, kind)
        select queue, priority, min(id), min(id), count(*), kind
        from pieces group by queue, priority, kind, island, piece
    )
    insert into events (job_id, queue, type)
    select id, queue, 'enqueued' from input
    where events_wanted() and wants_event(queue, false);
    perform notify_subscribers();
    if wake_workers then
        perform wake(array(select distinct j.queue from jobs_from_json(enqueue_many.jobs) j));
    end if;
    return query select unnest(ids);
end
$$;
comment on function enqueue_many is 'Adds an array of jobs, all or none; returns their ids in order.';
