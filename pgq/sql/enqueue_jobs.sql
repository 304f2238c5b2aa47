-- enqueue_jobs(jobs): adds an array of jobs as enqueue_many does, and says of each, in the order of the array, what became of it: added; or,
-- of those that are to be unique (field "unique", see unique_problem), existing or replaced, with the id of the earlier job.
--
--   select * from pgq.enqueue_jobs('[{"kind": "sync", "args": {"shop": 7}, "unique": {"by": ["args.shop"], "while": "queued"}}]');
--
-- Raises what enqueue_many raises, 42501 where a producer would replace what others enqueued or a key is that of a job in a queue which was not granted, and PQ007 where an earlier job with the key is to be an error. All or none.
-- Locks: what take_keys and then take_sequences lock; of jobs that are replaced what reschedule locks.
-- roles: producer
create function enqueue_jobs(jobs jsonb, wake_workers boolean default true) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    ids bigint[];
    -- Of jobs that are to be unique. Variables, not a record, and generic plans, for which they stay variables: elements of texts would be searched for.
    keys text[];
    outcomes text[];
    those bigint[];
    since timestamptz[];
    producer integer;
    heads bigint[]; -- jobs that begin their sequences
begin
    if session_user <> current_user or current_setting('role') <> 'none' then
        producer := check_producer(queues_named(enqueue_jobs.jobs, 'default'));
    end if;
    perform check_jobs_json(enqueue_jobs.jobs);
    ids := array(select nextval('jobs_id_seq')
                 from generate_series(1, jsonb_array_length(enqueue_jobs.jobs)));
    select v.keys, v.outcomes, v.ids, v.since into keys, outcomes, those, since from unique_verdicts(enqueue_jobs.jobs, ids) v;
    if producer is not null and outcomes is not null then
        perform check_holders(array(select v.id from unnest(those, outcomes) v(id, outcome) where v.outcome <> 'added'));
        perform check_replaced(outcomes, those);
    end if;
    if jsonb_path_exists(enqueue_jobs.jobs, '$[*].sequence') then
        heads := take_sequences(array_agg(i.sequence order by i.index), array_agg(ids[i.index + 1] order by i.index))
        from jobs_from_json(enqueue_jobs.jobs) i
        where outcomes is null or outcomes[i.index + 1] = 'added';
    end if;
    with input as materialized (
        select ids[i.index + 1] as id, i.*, keys[i.index + 1] as unique_key,
               coalesce(i.run_at, now() + i.delay, now() + unique_wait(i.uniqueness)) as due,
               i.sequence is not null and ids[i.index + 1] <> all(heads) as in_line
        from jobs_from_json(enqueue_jobs.jobs) i
        where outcomes is null or outcomes[i.index + 1] = 'added'
    ), added as (
        insert into jobs (id, queue, kind, priority, max_attempts, timeout, backoff, result_ttl, expires_at,
                          tags, metadata, codec, payload, args, unique_key, enqueued_by, group_name, sequence, on_failure, spec)
        select id, queue, kind, priority, max_attempts, timeout, backoff, result_ttl, now() + ttl,
               tags, metadata, codec, payload, args, unique_key, producer, group_name, sequence, on_failure,
               case when callbacks is not null or in_line and due > now() then
                   jsonb_strip_nulls(jsonb_build_object('run_at', case when in_line and due > now() then due end))
                   || case when callbacks is not null then jsonb_build_object('callbacks', callbacks) else '{}' end end
        from input
    ), delayed as (
        insert into scheduled (job_id, queue, run_at)
        select id, queue, due from input where due > now() and not in_line
    ), lines as (
        insert into waiting (job_id, queue, pending, need_ok, need_failed, max_failed, max_skipped, sequence)
        select id, queue, 1, 0, 0, 0, 0, sequence from input where in_line
    ), mortal as (
        insert into expiries (expires_at, job_id)
        select now() + ttl, id from input where ttl is not null
    ), islands as (
        select id, queue, priority, kind,
               id - row_number() over (partition by queue, priority, kind order by id) as island
        from input
        where (due is null or due <= now()) and group_name is null and not in_line
    ), pieces as (
        select *, (row_number() over (partition by queue, priority, kind, island order by id) - 1) / max_run_size() as piece
        from islands
    ), runs as (
        insert into ready (queue, priority, seq, job_id, size, kind)
        select queue, priority, min(id), min(id), count(*), kind
        from pieces group by queue, priority, kind, island, piece
    ), turns as (
        insert into waiting (job_id, queue, role, pending, need_ok, need_failed, max_failed, max_skipped, group_name, kind, priority, seq)
        select id, queue, 'turn', 1, 0, 0, 0, 0, group_name, kind, priority, id
        from input
        where group_name is not null and (due is null or due <= now()) and not in_line
    )
    insert into events (job_id, queue, type)
    select id, queue, 'enqueued' from input
    where events_wanted() and wants_event(queue, false);
    if jsonb_path_exists(enqueue_jobs.jobs, '$[*].group') then
        perform add_backlogs(array_agg(j.queue), array_agg(j.group_name), array_agg(j.kind), array_agg(j.priority::smallint))
        from jobs_from_json(enqueue_jobs.jobs) j where j.group_name is not null;
    end if;
    if 'replaced' = any(outcomes) then
        perform replace_jobs(enqueue_jobs.jobs, outcomes, those, since);
    end if;
    perform notify_subscribers();
    if wake_workers then
        perform wake(array(
            select distinct i.queue from jobs_from_json(enqueue_jobs.jobs) i
            where outcomes is null or outcomes[i.index + 1] = 'added'));
    end if;
    return query select v.id, v.outcome
    from unnest(coalesce(those, ids), coalesce(outcomes, array_fill('added'::text, array[cardinality(ids)]))) v(id, outcome);
end
$$;
comment on function enqueue_jobs is 'Adds jobs and says what became of each.';
