-- claim(worker_id, queue_names, limits, kinds, after): leases up to limits[i] jobs of queue_names[i] of these
-- kinds (null: of any) to a worker, soonest priority first, then in the order in which they became ready.
--
-- after: ten seqs per queue, one per priority 0 to 9: the claim starts behind them and does not see what
-- lies before (null: from the start). With it the cost does not grow with the dead rows that a long
-- transaction elsewhere keeps in the index.
-- Zero rows: nothing claimable right now, the queue is paused, or others are claiming what there is.
-- Raises PQ005 when the worker is not registered or was declared dead.
-- Locks: the worker's advisory lock, shared; then rows of ready, skipping those that others have locked.
create function claim(
    worker_id bigint, queue_names text[], limits integer[], kinds text[] default null, after bigint[] default null)
returns table (
    job_id bigint, queue text, kind text, priority smallint, seq bigint, attempt integer, max_attempts integer,
    timeout interval, created_at timestamptz, tags text[], metadata jsonb, codec text, payload bytea, args jsonb,
    dag_id bigint)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_material = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    loud constant boolean := events_wanted();
    alive boolean;
    settings record;
    wanted integer;
    batch integer;
    got integer;
    late bigint;
    late_before bigint;
begin
    -- Rescue takes this lock alone before it declares the worker dead: no lease is ever given to a dead worker. It is
    -- not waited for, since the caller may hold rows of running, for which rescue waits; and the worker is looked up
    -- in a statement of its own, whose snapshot is younger than the lock.
    alive := pg_try_advisory_xact_lock_shared(advisory_key('worker/' || claim.worker_id));
    alive := alive and exists (select from workers w where w.id = claim.worker_id and w.dead_at is null);
    if not alive then
        raise exception using
            errcode = 'PQ005',
            message = format('worker %s is not registered or was declared dead', claim.worker_id);
    end if;
    for i in 1 .. cardinality(queue_names) loop
        select * into settings from settings_of(queue_names[i]);
        wanted := case when settings.paused then 0 else limits[i] end;
        batch := (wanted + max_run_size() - 1) / max_run_size();
        late := 0;
        while wanted > 0 loop
            return query
                with picked as materialized (
                    select r.tid
                    from generate_series(0, 9) p,
                         lateral (
                             select c.ctid as tid
                             from ready c
                             where c.queue = queue_names[i]
                               and c.priority = p
                               and c.seq > coalesce(after[(i - 1) * 10 + p + 1], 0)
                               and (claim.kinds is null or c.kind = any(claim.kinds))
                             order by c.seq
                             limit batch
                             for update skip locked) r
                    -- Asked again in the snapshot that sees the jobs: none that was enqueued after a pause is taken.
                    where not exists (select from queues q where q.name = queue_names[i] and q.paused_at is not null)
                    limit batch
                ), taken as (
                    delete from ready
                    where ctid = any(array(select tid from picked))
                    returning *
                ), cut as materialized (
                    select t.*, least(t.size, greatest(0, wanted - sum(t.size) over (order by t.priority, t.seq) + t.size))::integer as keep
                    from taken t
                ), rest as (
                    insert into ready (queue, priority, seq, job_id, size, attempt, kind)
                    select queue, priority, seq + keep, job_id + keep, size - keep, attempt, kind
                    from cut
                    where keep < size
                ), claimed as materialized (
                    select c.seq + j.id - c.job_id as seq, c.attempt + 1 as attempt, j.*,
                           coalesce(j.expires_at <= now() and c.attempt = 0, false) as too_late
                    from cut c
                    -- One walk along the index per run. "offset 0" keeps the planner from walking all of jobs
                    -- where it takes them for few.
                    cross join lateral (
                        select id, queue, kind, priority, max_attempts, timeout, created_at, tags, metadata, codec,
                               payload, args, expires_at, result_ttl, dag_id
                        from jobs
                        where id >= c.job_id and id < c.job_id + c.keep
                        order by id
                        offset 0) j
                ), leased as (
                    insert into running (job_id, queue, attempt, worker_id, claimed_at, result_ttl, dag_id)
                    select id, queue, attempt, claim.worker_id, now(), result_ttl, dag_id
                    from claimed
                    where not too_late
                ), expired as (
                    insert into results (job_id, queue, state, attempt, finished_at, expires_at, error, dag_id)
                    select id, queue, 'expired', 0, now(), now() + result_ttl, 'not started within its time to live', dag_id
                    from claimed
                    where too_late
                ), untold as (
                    insert into frontier (parent_id, first_child, last_child)
                    select id, 0, 9223372036854775807 from claimed
                    where too_late and exists (select from edges e where e.parent_id = claimed.id)
                ), told as (
                    insert into events (job_id, queue, type, attempt, worker_id)
                    select id, queue, case when too_late then 'expired' else 'claimed' end,
                           case when too_late then 0 else attempt end, case when not too_late then claim.worker_id end
                    from claimed
                    where (too_late or loud) and wants_event(queue, too_late)
                )
                select id, queue, kind, priority, seq, attempt, coalesce(max_attempts, settings.max_attempts),
                       coalesce(timeout, settings.timeout), created_at, tags, metadata, codec, payload, args, dag_id
                from claimed
                where not too_late
                order by priority, seq;
            get diagnostics got = row_count;
            if got = 0 then
                -- Nothing is left, unless all that was picked has just expired: then look further.
                late_before := late;
                late := (select count(*) from results f where f.queue = queue_names[i]
                         and f.state = 'expired' and f.state <> 'completed' and f.finished_at = now() and f.dag_id is null)
                      + (select count(*) from results f where f.queue = queue_names[i]
                         and f.state = 'expired' and f.state <> 'completed' and f.finished_at = now() and f.dag_id is not null);
                exit when late = late_before;
                batch := 2 * batch;
                continue;
            end if;
            wanted := wanted - got;
            -- The rows of the last batch held got / batch jobs each: take as many rows as that asks for.
            batch := wanted / greatest(1, got / batch) + 1;
        end loop;
    end loop;
    if loud then
        perform notify_subscribers();
    end if;
end
$$;
comment on function claim is 'Leases jobs to a worker.';
