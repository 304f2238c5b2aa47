-- complete(worker_id, job_ids, attempts, outputs, codecs, payloads): completes attempts that the worker holds;
-- outputs (JSON) or codecs and payloads (bytes) are their results. Returns the ids that were completed.
-- A missing id: its lease is lost (another worker has it, or it is finished); nothing was changed for it.
-- Locks: rows of running in the order of their ids.
create function complete(
    worker_id bigint, job_ids bigint[], attempts integer[], outputs jsonb[] default null,
    codecs text[] default null, payloads bytea[] default null)
returns setof bigint
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    loud constant boolean := events_wanted();
    now constant timestamptz := clock_timestamp();
begin
    return query
        with input as materialized (
            select * from unnest(job_ids, attempts, outputs, codecs, payloads) u(id, attempt, output, codec, payload)
            order by id
        ), ended as (
            delete from running r
            using input i
            where r.job_id = i.id and r.attempt = i.attempt and r.worker_id = complete.worker_id
            returning r.job_id, r.queue, r.attempt, r.claimed_at, r.result_ttl, i.output, i.codec, i.payload
        ), told as (
            insert into events (job_id, queue, type, attempt, worker_id)
            select job_id, queue, 'completed', attempt, complete.worker_id from ended
            where loud and wants_event(queue, false)
        )
        insert into results (job_id, queue, state, attempt, worker_id, claimed_at, finished_at, expires_at, codec, payload, output)
        select job_id, queue, 'completed', attempt, complete.worker_id, claimed_at, now, now + result_ttl, codec, payload, output
        from ended
        returning job_id;
    if loud then
        perform notify_subscribers();
    end if;
end
$$;
comment on function complete is 'Completes attempts that a worker holds.';
