-- complete(worker_id, job_ids, attempts, outputs, codecs, payloads): completes attempts that the worker holds;
-- outputs (JSON) or codecs and payloads (bytes) are their results. Returns the ids that were completed.
-- Raises PQ001 for arrays that are not of one length.
-- A missing id: its lease is lost (another worker has it, or it is finished); nothing was changed for it.
-- Children of the jobs are told in statements of their own, whose snapshots see what was added meanwhile.
-- Locks: rows of running in the order of their ids; then what propagate and advance_sequences lock.
-- roles: worker
create function complete(
    worker_id bigint, job_ids bigint[], attempts integer[], outputs jsonb[] default null,
    codecs text[] default null, payloads bytea[] default null)
returns setof bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    loud constant boolean := events_wanted();
    now constant timestamptz := clock_timestamp();
    -- The attempts by job, and where in the arguments they are (null: nowhere is there a result). In a record, since arrays
    -- that are variables are copied each time that width_bucket looks into them.
    asked record;
    done bigint[];
    callers bigint[]; -- those with callbacks
    slotted bigint[]; -- those that counted for a limit
begin
    perform check_parallel(
        '{job_ids,attempts,outputs,codecs,payloads}',
        array[array_dims(job_ids), array_dims(attempts), array_dims(outputs), array_dims(codecs), array_dims(payloads)]);
    if (codecs <> '{}' or payloads <> '{}')
       and exists (select from unnest(codecs, payloads) u(codec, payload) where (u.codec is null) <> (u.payload is null)) then
        perform invalid('codecs', 'must be given where payloads are, and only there');
    end if;
    select array_agg(u.id order by u.id) as ids, array_agg(u.attempt order by u.id) as attempts,
           case when coalesce(outputs, '{}') <> '{}' or coalesce(payloads, '{}') <> '{}'
               then array_agg(u.place::integer order by u.id) end as places
    into asked
    from unnest(job_ids, attempts) with ordinality u(id, attempt, place)
    where u.id is not null;
    -- By "= any", without bitmaps, the rows are found by their keys and locked in the order of them; a join might
    -- walk all of running, dead rows included.
    with ended as (
        delete from running r
        where r.job_id = any(asked.ids)
          and r.worker_id = complete.worker_id
          and r.attempt = asked.attempts[width_bucket(r.job_id, asked.ids)]
        returning r.job_id, r.queue, r.attempt, r.claimed_at, r.result_ttl, r.dag_id, r.callbacks, r.slotted,
                  asked.places[width_bucket(r.job_id, asked.ids)] as place
    ), added as (
        insert into results (job_id, queue, state, attempt, worker_id, claimed_at, finished_at, expires_at, codec, payload, output, dag_id)
        select job_id, queue, 'completed', attempt, complete.worker_id, claimed_at, now, now + result_ttl,
               codecs[place], payloads[place], outputs[place], dag_id
        from ended
    )
    select coalesce(array_agg(job_id), '{}'), array_agg(job_id) filter (where callbacks), array_agg(job_id) filter (where ended.slotted)
    into done, callers, slotted from ended;
    if slotted is not null then
        perform free_slots(slotted);
    end if;
    if callers is not null then
        perform call_back(callers, 'on_success');
    end if;
    -- One look at the range of the ids mostly says that none of them has children.
    if exists (select from edges e where e.parent_id between asked.ids[1] and asked.ids[cardinality(asked.ids)])
       and exists (select from edges e where e.parent_id = any(done)) then
        perform propagate(done);
    end if;
    -- The same for sequences.
    if exists (select from sequences s where s.job_id between asked.ids[1] and asked.ids[cardinality(asked.ids)])
       and exists (select from sequences s where s.job_id = any(done)) then
        perform advance_sequences(done);
    end if;
    if loud then
        insert into events (job_id, queue, type, attempt, worker_id)
        select job_id, queue, 'completed', attempt, worker_id from results where job_id = any(done) and wants_event(queue, false);
        perform notify_subscribers();
    end if;
    return query select unnest(done);
end
$$;
comment on function complete is 'Completes attempts that a worker holds; outputs (JSON), or codecs and payloads (bytes), are their results, in the order of job_ids. Returns the ids that were completed: one that is missing is somebody else''s by now, and nothing was changed for it.';
