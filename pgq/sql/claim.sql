-- claim(worker_id, queue_names, limits, kinds, after): leases up to limits[i] jobs of queue_names[i] of these
-- kinds (null: of any) to a worker, soonest priority first, then in the order in which they became ready; where jobs of a queue age, see take_aged.
--
-- after: ten seqs per queue, one per priority 0 to 9: the claim starts behind them and does not see what
-- lies before (null: from the start). With it the cost does not grow with the dead rows that a long
-- transaction elsewhere keeps in the index.
-- Zero rows: nothing claimable right now, the queue is paused, or others are claiming what there is.
-- Raises PQ001 for arrays that do not belong together and limits of more than 1,000,000, PQ005 when the worker is not registered or was declared dead.
-- Locks: the worker's advisory lock, shared; then rows of ready, skipping those that others have locked.
-- roles: worker
create function claim(
    worker_id bigint, queue_names text[], limits integer[], kinds text[] default null, after bigint[] default null)
returns table (
    job_id bigint, queue text, kind text, priority smallint, seq bigint, attempt integer, max_attempts integer,
    timeout interval, created_at timestamptz, tags text[], metadata jsonb, codec text, payload bytea, args jsonb,
    dag_id bigint, sequence text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_material = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    loud constant boolean := events_wanted();
    limited constant boolean := exists (select from limits) or exists (select from gates);
    alive boolean;
    settings record;
    gated text[]; -- kinds whose jobs have to wait for their turn
    room integer;
    at timestamptz; -- when attempts of a limited queue begin
    wanted integer;
    batch integer; -- rows of ready
    turns boolean; -- there may be jobs that wait for their turn
    worst smallint; -- priority of the last ready job that would be taken if there were no others
    aside integer := 0; -- jobs that were ready and are not leased
    runs record;
    got integer;
begin
    perform check_parallel('{queue_names,limits}', array[array_dims(queue_names), array_dims(limits)]);
    if cardinality(after) <> 10 * cardinality(queue_names) or array_dims(after) !~ '^\[1:\d+\]$' then
        perform invalid('after', 'must have ten numbers per queue');
    end if;
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
    if limited then
        gated := array(
            select l.name from limits l where l.scope = 'kind' union
            select g.name from gates g where g.scope = 'kind' and g.paused_until > clock_timestamp());
    end if;
    for i in 1 .. coalesce(cardinality(queue_names), 0) loop
        select * into settings from settings_of(queue_names[i]);
        wanted := case when settings.paused then 0 else within('limits', greatest(limits[i], 0), 0, 1000000) end;
        at := null;
        if limited and wanted > 0 and exists (
            select from limits l where l.scope = 'queue' and l.name = queue_names[i] union all
            select from gates g where g.scope = 'queue' and g.name = queue_names[i]) then
            select r.room, r.at into wanted, at from queue_room(queue_names[i], wanted) r;
        end if;
        room := wanted;
        -- Of those that wait for their turn half of what is wanted, unless there are enough ready ones that are sooner by their priority, which does
        -- not count where jobs age; at the end what is left.
        turns := wanted > 0 and exists (select from backlogs b where b.queue = queue_names[i]);
        if turns then
            worst := case when settings.age_every is null then (
                select f.priority
                from (select priority, sum(size) over (order by priority, seq) as jobs
                      from (select r.priority, r.seq, r.size from ready r where r.queue = queue_names[i] order by r.priority, r.seq limit wanted) r) f
                where f.jobs >= wanted order by f.jobs limit 1) end;
            return query select * from claim_turns(claim.worker_id, queue_names[i], (wanted + 1) / 2, claim.kinds, worst, at, loud);
            get diagnostics got = row_count;
            turns := worst is not null or got >= (wanted + 1) / 2;
            wanted := wanted - got;
        end if;
        batch := (wanted + max_run_size() - 1) / max_run_size();
        while wanted > 0 loop
            if settings.age_every is null then
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
                       array_agg(attempt) as attempts, array_agg(kind) as kinds, array_agg(since) as sinces
                into runs
                from cut;
            else
                select * into runs
                from take_aged(queue_names[i], wanted, batch, claim.kinds, after[(i - 1) * 10 + 1 : i * 10], settings.age_every);
            end if;
            exit when runs.n = 0;
            if runs.jobs > wanted then
                insert into ready (queue, priority, seq, job_id, size, attempt, kind, since)
                select queue_names[i], r.priority, r.seq + r.keep, r.job_id + r.keep, r.size - r.keep, r.attempt, r.kind, r.since
                from unnest(runs.priorities, runs.seqs, runs.job_ids, runs.sizes, runs.keeps, runs.attempts, runs.kinds, runs.sinces)
                     r(priority, seq, job_id, size, keep, attempt, kind, since)
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
                               payload, args, result_ttl, dag_id, sequence, nullif(spec ? 'callbacks', false) as callbacks
                        from jobs
                        where id >= c.job_id and id < c.job_id + c.keep and not (c.attempt = 0 and coalesce(expires_at <= now(), false))
                          and group_name is null and (gated is null or kind <> all(gated))
                        order by id
                        offset 0) j
                ), leased as (
                    insert into running (job_id, queue, attempt, worker_id, claimed_at, result_ttl, dag_id, callbacks)
                    select id, queue, attempt, claim.worker_id, coalesce(at, now()), result_ttl, dag_id, callbacks
                    from claimed
                )
                select id, queue, kind, priority, seq, attempt, coalesce(max_attempts, settings.max_attempts),
                       coalesce(timeout, settings.timeout), created_at, tags, metadata, codec, payload, args, dag_id, sequence
                from claimed;
            get diagnostics got = row_count;
            if loud or got < least(runs.jobs, wanted) then
                perform claim_aside(claim.worker_id, runs.job_ids, runs.seqs, runs.keeps, runs.attempts, runs.sinces, gated, at, loud);
                aside := aside + least(runs.jobs, wanted) - got;
            end if;
            wanted := wanted - got;
            exit when runs.n < batch or aside > 10000;
            -- The rows of the last batch held so many jobs each: take as many rows as that asks for.
            batch := wanted / greatest(1, got / batch) + 1;
        end loop;
        if wanted > 0 and (turns or aside > 0) then
            return query select * from claim_turns(claim.worker_id, queue_names[i], wanted, claim.kinds, null, at, loud);
            get diagnostics got = row_count;
            wanted := wanted - got;
        end if;
        if at is not null and wanted < room then
            perform spend(array['queue'], array[queue_names[i]], array[room - wanted], at);
            perform note_queue_probe(claim.worker_id, queue_names[i], at);
        end if;
    end loop;
    if loud then
        perform notify_subscribers();
    end if;
end
$$;
comment on function claim is 'Leases jobs to a worker: up to limits[i] of queue_names[i], of these kinds (null: any). after: where the last claim stopped, ten numbers per queue (null: from the start).';
