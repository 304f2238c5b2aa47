-- enqueue_one(...): what enqueue does, and whether the queue is past its warning depth. Internal: the Go client's form.
-- Raises 42501 for producers that may not enqueue into the queue.
-- Inserts into jobs and into ready or scheduled; takes no row locks. One row always.
-- roles: producer
create function enqueue_one(
    kind text, args jsonb, queue text, priority integer, delay interval, run_at timestamptz,
    max_attempts integer, timeout interval, backoff jsonb, tags text[], metadata jsonb,
    ttl interval, result_ttl interval, codec text, payload bytea, wake_workers boolean,
    out job_id bigint, out near_limit boolean
)
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    problem constant text[] := job_problem(kind, queue, priority, delay, run_at, max_attempts, timeout,
        backoff, tags, metadata, ttl, result_ttl, codec, payload, args);
    size constant integer := coalesce(pg_column_size(args), octet_length(payload), 0);
    due constant timestamptz := case when problem is null then coalesce(run_at, now() + delay) end;
    -- Whether a limit or a wish for events might concern this job: one look that mostly says no.
    special constant boolean :=
        exists (select from queues q
                where q.name in (queue, '*')
                  and (q.max_depth is not null or q.warn_depth is not null or q.events = 'all' or q.max_args_bytes < size))
        or exists (select from subscribers where alive_until > now());
    producer constant integer := case
        when session_user = current_user and current_setting('role') = 'none' then null
        else check_producer(array[queue]) end;
begin
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
    near_limit := special and check_limits(queue, size);

    insert into jobs (queue, kind, priority, max_attempts, timeout, backoff, result_ttl, expires_at,
                      tags, metadata, codec, payload, args, enqueued_by)
    values (queue, kind, priority, max_attempts, timeout, backoff, result_ttl, now() + ttl,
            tags, metadata, codec, payload, args, producer)
    returning id into job_id;
    if due > now() then
        insert into scheduled (job_id, queue, run_at) values (job_id, queue, due);
    else
        insert into ready (queue, priority, seq, job_id, kind) values (queue, priority, job_id, job_id, kind);
        if wake_workers then
            perform wake(array[queue]);
        end if;
    end if;
    if ttl is not null then
        insert into expiries (expires_at, job_id) values (now() + ttl, job_id);
    end if;
    if special and wants_event(queue, false) then
        insert into events (job_id, queue, type) values (job_id, queue, 'enqueued');
        perform notify_subscribers();
    end if;
end
$$;
comment on function enqueue_one is 'Internal form of enqueue.';
