-- claim(worker_id, queue_names, limits, kinds, after): leases up to limits[i] jobs of queue_names[i] of these
-- kinds (null: of any) to a worker, soonest priority first, then in the order in which they became ready.
--
-- after: ten seqs per queue, one per priority 0 to 9: the claim starts behind them and does not see what
-- lies before (null: from the start). With it the cost does not grow with the dead rows that a long
-- transaction elsewhere keeps in the index.
-- Zero rows: nothing claimable right now, the queue is paused, or others are claiming what there is.
-- Raises PQ005 when the worker is not registered or was declared dead.
-- Locks: the worker's advisory lock, shared; then rows of ready, skipping those that others have locked.
-- roles: worker
create function claim(
    worker_id bigint, queue_names text[], limits integer[], kinds text[] default null, after bigint[] default null)
returns table (
    job_id bigint, queue text, kind text, priority smallint, seq bigint, attempt integer, max_attempts integer,
    timeout interval, created_at timestamptz, tags text[], metadata jsonb, codec text, payload bytea, args jsonb,
    dag_id bigint)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_material = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    loud constant boolean := events_wanted();
    alive boolean;
    settings record;
    wanted integer;
    batch integer; -- rows of ready
    runs record;
    got integer;
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
        while wanted > 0 loop
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
            ), cut as (
                select t.*, least(t.size, greatest(0, wanted - sum(t.size) over (order by t.priority, t.seq) + t.size))::integer as keep
                from taken t
                order by t.priority, t.seq
            )
            select count(*) as n, sum(size) as jobs, array_agg(job_id) as job_ids, array_agg(seq) as seqs,
                   array_agg(priority) as priorities, array_agg(size) as sizes, array_agg(keep) as keeps,
                   array_agg(attempt) as attempts, array_agg(kind) as kinds
            into runs
            from cut;
            exit when runs.n = 0;
            if runs.jobs > wanted then
                insert into ready (queue, priority, seq, job_id, size, attempt, kind)
                select queue_names[i], r.priority, r.seq + r.keep, r.job_id + r.keep, r.size - r.keep, r.attempt, r.kind
                from unnest(runs.priorities, runs.seqs, runs.job_ids, runs.sizes, runs.keeps, runs.attempts, runs.kinds)
                     r(priority, seq, job_id, size, keep, attempt, kind)
                where r.keep < r.size;
            end if;
            return query
                with claimed as materialized (
                    select c.seq + j.id - c.job_id as seq, c.attempt + 1 as attempt, j.*
                    from unnest(runs.job_ids, runs.seqs, runs.keeps, runs.attempts) c(job_id, seq, keep, attempt)
                    -- One walk along the index per run. "offset 0" keeps the planner from walking all of jobs
                    -- where it takes them for few.
                    cross join lateral (
                        select id, queue, kind, priority, max_attempts, timeout, created_at, tags, metadata, codec,
                               payload, args, result_ttl, dag_id
                        from jobs
                        where id >= c.job_id and id < c.job_id + c.keep and not (c.attempt = 0 and coalesce(expires_at <= now(), false))
                        order by id
                        offset 0) j
                ), leased as (
                    insert into running (job_id, queue, attempt, worker_id, claimed_at, result_ttl, dag_id)
                    select id, queue, attempt, claim.worker_id, now(), result_ttl, dag_id
                    from claimed
                )
                select id, queue, kind, priority, seq, attempt, coalesce(max_attempts, settings.max_attempts),
                       coalesce(timeout, settings.timeout), created_at, tags, metadata, codec, payload, args, dag_id
                from claimed;
            get diagnostics got = row_count;
            if loud or exists (select from expiries where expires_at <= now()) then
                perform claim_aside(claim.worker_id, runs.job_ids, runs.keeps, runs.attempts, loud);
            end if;
            exit when runs.n < batch;
            -- The rows of the last batch held so many jobs each: take as many rows as that asks for.
            wanted := wanted - got;
            batch := wanted / greatest(1, got / batch) + 1;
        end loop;
    end loop;
    if loud then
        perform notify_subscribers();
    end if;
end
$$;
comment on function claim is 'Leases jobs to a worker: up to limits[i] of queue_names[i], of these kinds (null: any). after: where the last claim stopped, ten numbers per queue (null: from the start).';
