-- Code generated from pgq/sql by "make migrations". DO NOT EDIT.
--
-- The functions and views. Replaces nothing but them, takes locks on nothing else; workers that run the
-- functions meanwhile finish the call they are in.

-- +goose Up
set local lock_timeout = '5s';
set local check_function_bodies = off;

-- +goose StatementBegin
-- add_logs(job_ids, attempts, times, levels, messages, attrs): keeps log lines of handlers, to be read with the
-- job while it runs and after. Lines of jobs that were deleted are dropped.
-- Locks: rows of jobs against deletion.
create function add_logs(
    job_ids bigint[], attempts integer[], times timestamptz[], levels text[], messages text[], attrs jsonb[])
returns void
language sql set search_path from current
as $$
    insert into logs (job_id, attempt, at, level, message, attrs)
    select u.*
    from unnest(job_ids, attempts, times, levels, messages, attrs) u(job_id, attempt, at, level, message, attrs)
    join jobs j on j.id = u.job_id
    for key share of j
$$;
comment on function add_logs is 'Keeps log lines of handlers.';
-- +goose StatementEnd

-- +goose StatementBegin
-- advisory_key(name): the key of an advisory lock of this schema.
-- Takes no lock itself. Every advisory lock of the product goes through this function, so that two
-- schemas in one database never meet.
create function advisory_key(name text) returns bigint
language sql stable
as $$ select hashtextextended('pgq/' || current_schema() || '/' || name, 0) $$;
comment on function advisory_key is 'Key of an advisory lock of this schema.';
-- +goose StatementEnd

-- +goose StatementBegin
-- announce(job_ids, queue_names, wake_workers): the last step of a bulk enqueue by COPY: writes that the jobs were
-- enqueued, for queues that want to hear of it (null: nobody does), and wakes workers. Internal: the Go client's EnqueueMany.
create function announce(job_ids bigint[], queue_names text[], wake_workers boolean) returns void
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    if job_ids is not null then
        insert into events (job_id, queue, type)
        select j.id, j.queue, 'enqueued' from jobs j
        where j.id = any(job_ids) and wants_event(j.queue, false);
        perform notify_subscribers();
    end if;
    if wake_workers then
        perform wake(queue_names);
    end if;
end
$$;
comment on function announce is 'Last step of a bulk enqueue by COPY.';
-- +goose StatementEnd

-- +goose StatementBegin
-- backoff_delay(policy, attempt): how long to wait after the given failed attempt (1 is the first).
-- constant: base; linear: base * attempt; exponential: base * factor^(attempt - 1), factor 2 by default.
-- The cap comes before the jitter, which spreads the delay evenly over +/- jitter * delay.
create function backoff_delay(policy jsonb, attempt integer) returns interval
language sql volatile
as $$
    select make_interval(secs =>
        least(
            coalesce((policy ->> 'base')::double precision, 0) * case policy ->> 'type'
                when 'linear' then attempt
                when 'exponential' then
                    power(coalesce((policy ->> 'factor')::double precision, 2), least(attempt - 1, 100))
                else 1
            end,
            coalesce((policy ->> 'cap')::double precision, 31536000))
        * (1 + coalesce((policy ->> 'jitter')::double precision, 0) * (2 * random() - 1)))
$$;
comment on function backoff_delay is 'Delay after a failed attempt under a backoff policy.';
-- +goose StatementEnd

-- +goose StatementBegin
-- backoff_problem(policy): what is wrong with a backoff policy; null when nothing is.
-- A policy is {"type": "constant" | "linear" | "exponential", "base": seconds, "factor": number,
-- "cap": seconds, "jitter": 0..1}; only type and base are required.
create function backoff_problem(policy jsonb) returns text
language plpgsql immutable
as $$
declare
    entry record;
begin
    if policy is null then
        return null;
    elsif jsonb_typeof(policy) <> 'object' then
        return 'must be a JSON object';
    elsif policy ->> 'type' is null or policy ->> 'type' not in ('constant', 'linear', 'exponential') then
        return 'must have a type: constant, linear or exponential';
    end if;
    for entry in select key, value from jsonb_each(policy) where key <> 'type' loop
        if entry.key not in ('base', 'factor', 'cap', 'jitter') then
            return format('has an unknown field %s', to_json(entry.key));
        elsif jsonb_typeof(entry.value) <> 'number' then
            return format('must have a number as %s', entry.key);
        elsif entry.key in ('base', 'cap') and entry.value::numeric not between 0 and 31536000 then
            return format('must have a %s of 0 to 31536000 seconds', entry.key);
        elsif entry.key = 'factor' and entry.value::numeric not between 1 and 100 then
            return 'must have a factor of 1 to 100';
        elsif entry.key = 'jitter' and entry.value::numeric not between 0 and 1 then
            return 'must have a jitter of 0 to 1';
        end if;
    end loop;
    if not policy ? 'base' then
        return 'must have a base in seconds';
    end if;
    return null;
end
$$;
comment on function backoff_problem is 'What is wrong with a backoff policy, or null.';
-- +goose StatementEnd

-- +goose StatementBegin
-- cancel(job_ids, reason): cancels jobs. Outcome per job: cancelled (it waited and is finished now), requested
-- (it runs: its worker is told to stop it; it ends as cancelled unless it completes first), finished
-- (nothing to cancel), not_found.
-- Locks: what withdraw locks, then rows of running in the order of their ids. Never undone half-way:
-- all in the caller's transaction.
create function cancel(job_ids bigint[], reason text default null) returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone record;
    moved bigint[];
begin
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by p.place loop
            if found_at.place in ('ready', 'scheduled') then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw(found_at.ids) w;
                perform settle(gone.ids, gone.queues, gone.attempts, 'cancelled', coalesce(reason, 'cancelled'));
                return query select id, 'cancelled' from unnest(gone.ids) id;
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'running' then
                with marked as (
                    update running r
                    set cancel_requested_at = coalesce(r.cancel_requested_at, now())
                    from (select job_id from running where job_id = any(found_at.ids) order by job_id for update) l
                    where r.job_id = l.job_id
                    returning r.job_id, r.queue, r.attempt, r.worker_id
                ), told as (
                    select m.job_id,
                           pg_notify(channel(), format('cancel %s %s %s', m.worker_id, m.job_id, m.attempt)),
                           record_event('cancel_requested', m.job_id, m.queue, m.attempt, m.worker_id,
                                        jsonb_strip_nulls(jsonb_build_object('reason', reason)))
                    from marked m
                )
                select coalesce(array_agg(t.job_id), '{}') as ids into gone from told t;
                return query select id, 'requested' from unnest(gone.ids) id;
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
            else
                return query
                    select id, case found_at.place when 'not_found' then 'not_found' else 'finished' end
                    from unnest(found_at.ids) id;
            end if;
        end loop;
        if moved = '{}' then
            return;
        end if;
        pending := moved;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function cancel is 'Cancels jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- channel(): the NOTIFY channel on which workers of this schema are woken and told to cancel jobs.
-- Payloads: "wake QUEUE" and "cancel WORKER_ID JOB_ID ATTEMPT".
create function channel() returns text
language sql stable
as $$ select 'pgq:' || current_schema() $$;
comment on function channel is 'NOTIFY channel of the workers of this schema.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_depth(queue_name, adding, max_depth, warn_depth): raises PQ002 when adding that many jobs takes
-- the queue past its maximum depth; else whether it takes it past its warning depth.
-- Concurrent enqueuers do not see each other's uncommitted jobs: the bound is exact for committed jobs.
create function check_depth(queue_name text, adding bigint, max_depth bigint, warn_depth bigint)
returns boolean
language plpgsql stable
as $$
declare
    depth constant bigint := queue_depth(queue_name, greatest(max_depth, warn_depth) + 1) + adding;
begin
    if depth > max_depth then
        raise exception using
            errcode = 'PQ002',
            message = format('queue %s is full: its maximum depth is %s', to_json(queue_name), max_depth),
            hint = 'Enqueue later, or raise the queue''s max_depth.';
    end if;
    return coalesce(depth > warn_depth, false);
end
$$;
comment on function check_depth is 'Refuses to fill a queue past its maximum depth.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_invariants(): every broken invariant, in one snapshot; no rows when all is well. Reads whole tables.
-- Stands in for the foreign keys that the hot path does without.
create function check_invariants() returns table (rule text, job_id bigint, detail text)
language sql stable set search_path from current set jit = off
as $$
    with members as materialized (
        select r.job_id + g as id, 'ready' as place from ready r, generate_series(0, r.size - 1) g
        union all select s.job_id, 'scheduled' from scheduled s
        union all select r.job_id, 'running' from running r
        union all select f.job_id, 'results' from results f
    ), crowded as (
        select id, string_agg(place, ', ' order by place) as places from members group by id having count(*) > 1
    )
    select 'a job is in at most one of ready, scheduled, running and results', c.id, c.places from crowded c
    union all
    select 'a job is in at least one of ready, scheduled, running and results', j.id, null
    from jobs j where not exists (select from members m where m.id = j.id)
    union all
    select 'a job that is somewhere is in jobs', m.id, m.place
    from members m where not exists (select from jobs j where j.id = m.id)
    union all
    select 'a row of ready says queue, priority and kind of its jobs', j.id, format('%s/%s/%s', r.queue, r.priority, r.kind)
    from (select r.*, r.job_id + g as id from ready r, generate_series(0, r.size - 1) g) r
    join jobs j on j.id = r.id
    where (r.queue, r.priority, r.kind) is distinct from (j.queue, j.priority, j.kind)
    union all
    select 'a row of scheduled, running or results says the queue of its job', j.id, m.queue
    from (select s.job_id, s.queue from scheduled s union all select r.job_id, r.queue from running r
          union all select f.job_id, f.queue from results f) m
    join jobs j on j.id = m.job_id
    where m.queue <> j.queue
    union all
    select 'a failed job had no attempts left or was failed for good', f.job_id, null
    from results f where f.state = 'failed' and f.attempt < 1
    union all
    select 'a lease belongs to a registered worker', r.job_id, r.worker_id::text
    from running r
    where not exists (select from workers w where w.id = r.worker_id)
    union all
    select 'an entry of expiries belongs to a job with that time to live', e.job_id, e.expires_at::text
    from expiries e
    where not exists (select from jobs j where j.id = e.job_id and (j.expires_at is null or j.expires_at = e.expires_at))
    union all
    select 'progress and logs belong to jobs', p.job_id, null
    from (select p.job_id from progress p union select l.job_id from logs l) p
    where not exists (select from jobs j where j.id = p.job_id)
    union all
    select 'the sequence of ids is ahead of every id and seq', max(m.n), null
    from (select max(id) as n from jobs union all select max(seq + size - 1) from ready) m
    having max(m.n) > (select coalesce(pg_sequence_last_value('jobs_id_seq'), 0))
    union all
    select 'the settings of queue "*" are there', null, null
    where not exists (select from queues q where q.name = '*')
$$;
comment on function check_invariants is 'Every broken invariant.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_jobs_json(jobs): raises PQ001 for the first job of a JSON array that breaks a rule, naming its
-- index and field; PQ002 when the array does not fit into one of its queues. Internal.
create function check_jobs_json(jobs jsonb) returns void
language plpgsql stable
as $$
declare
    bad record;
    target record;
begin
    if jsonb_typeof(jobs) is distinct from 'array' then
        perform invalid('jobs', 'must be a JSON array');
    end if;
    select e.ordinality - 1 as index, jsonb_typeof(e.value) as type, unknown.key into bad
    from jsonb_array_elements(jobs) with ordinality e
    left join lateral (
        select key from jsonb_object_keys(case jsonb_typeof(e.value) when 'object' then e.value else '{}' end) key
        where key not in ('kind', 'args', 'queue', 'priority', 'delay', 'run_at', 'max_attempts', 'timeout', 'backoff',
                          'tags', 'metadata', 'ttl', 'result_ttl', 'codec', 'payload')
        limit 1) unknown on true
    where jsonb_typeof(e.value) <> 'object' or unknown.key is not null
    order by 1 limit 1;
    if found then
        perform invalid(format('jobs[%s]', bad.index), case bad.type
            when 'object' then format('has an unknown field %s', to_json(bad.key))
            else 'must be a JSON object' end);
    end if;
    begin
        select j.index, p.problem into bad
        from jobs_from_json(jobs) j,
             job_problem(j.kind, j.queue, j.priority, j.delay, j.run_at, j.max_attempts, j.timeout, j.backoff, j.tags,
                         j.metadata, j.ttl, j.result_ttl, j.codec, j.payload, j.args) p(problem)
        where p.problem is not null
        order by j.index limit 1;
    exception when data_exception then
        perform check_json_types(jobs);
        raise;
    end;
    if bad.problem is not null then
        perform invalid(format('jobs[%s].%s', bad.index, bad.problem[1]), bad.problem[2]);
    end if;
    select j.index, s.max_args_bytes into bad
    from jobs_from_json(jobs) j, settings_of(j.queue) s
    where coalesce(pg_column_size(j.args), octet_length(j.payload)) > s.max_args_bytes
    order by j.index limit 1;
    if found then
        perform invalid(format('jobs[%s].args', bad.index), format('must be at most %s bytes', bad.max_args_bytes));
    end if;
    for target in
        select j.queue, count(*) as adding
        from jobs_from_json(jobs) j group by j.queue order by j.queue
    loop
        perform check_depth(target.queue, target.adding, s.max_depth, s.warn_depth)
        from settings_of(target.queue) s where s.max_depth is not null;
    end loop;
end
$$;
comment on function check_jobs_json is 'Refuses a JSON array with a job that breaks a rule.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_json_types(jobs): raises PQ001 for the first field of a JSON array of jobs that cannot be read as what it is.
-- Tries field by field; called only when reading all at once has failed. Internal: check_jobs_json.
create function check_json_types(jobs jsonb) returns void
language plpgsql stable
as $$
declare
    entry record;
begin
    for entry in
        select e.ordinality - 1 as index, f.field, f.type, e.value ->> f.field as value
        from jsonb_array_elements(jobs) with ordinality e,
             (values ('priority', 'integer'), ('delay', 'interval'), ('run_at', 'timestamptz'), ('max_attempts', 'integer'),
                     ('timeout', 'interval'), ('ttl', 'interval'), ('result_ttl', 'interval')) f(field, type)
        where e.value ->> f.field is not null
        order by 1, 2
    loop
        begin
            execute format('select $1::%s', entry.type) using entry.value;
        exception when data_exception then
            perform invalid(format('jobs[%s].%s', entry.index, entry.field), format('cannot be read as %s', entry.type));
        end;
    end loop;
    for entry in
        select e.ordinality - 1 as index, e.value ->> 'payload' as payload, jsonb_typeof(e.value -> 'tags') as tags
        from jsonb_array_elements(jobs) with ordinality e
        order by 1
    loop
        if entry.tags not in ('array', 'null') then
            perform invalid(format('jobs[%s].tags', entry.index), 'must be a JSON array');
        end if;
        begin
            perform decode(entry.payload, 'base64');
        exception when data_exception then
            perform invalid(format('jobs[%s].payload', entry.index), 'cannot be read as base64');
        end;
    end loop;
end
$$;
comment on function check_json_types is 'Refuses a JSON array of jobs with a field that cannot be read.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_limits(queue_name, size): raises PQ001 when args of that many bytes are too large for a queue, PQ002 when
-- the queue is full; else whether one job more takes it past its warning depth. Internal.
create function check_limits(queue_name text, size integer) returns boolean
language plpgsql stable
as $$
declare
    settings record;
begin
    select * into settings from settings_of(queue_name);
    if size > settings.max_args_bytes then
        perform invalid('args', format('must be at most %s bytes', settings.max_args_bytes));
    end if;
    return (settings.max_depth is not null or settings.warn_depth is not null)
        and check_depth(queue_name, 1, settings.max_depth, settings.warn_depth);
end
$$;
comment on function check_limits is 'Refuses a job that is too large or one too many.';
-- +goose StatementEnd

-- +goose StatementBegin
-- chore_is_due(name, every): whether a chore was last done that long ago; if so it counts as done now.
-- Internal: do_chores, under its advisory lock.
create function chore_is_due(name text, every interval) returns boolean
language plpgsql
as $$
begin
    update chores set last_run_at = now()
    where chores.name = chore_is_due.name and last_run_at <= now() - every;
    return found;
end
$$;
comment on function chore_is_due is 'Whether a chore is due.';
-- +goose StatementEnd

-- +goose StatementBegin
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
    timeout interval, created_at timestamptz, tags text[], metadata jsonb, codec text, payload bytea, args jsonb)
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
                               payload, args, expires_at, result_ttl
                        from jobs
                        where id >= c.job_id and id < c.job_id + c.keep
                        order by id
                        offset 0) j
                ), leased as (
                    insert into running (job_id, queue, attempt, worker_id, claimed_at, result_ttl)
                    select id, queue, attempt, claim.worker_id, now(), result_ttl
                    from claimed
                    where not too_late
                ), expired as (
                    insert into results (job_id, queue, state, attempt, finished_at, expires_at, error)
                    select id, queue, 'expired', 0, now(), now() + result_ttl, 'not started within its time to live'
                    from claimed
                    where too_late
                ), told as (
                    insert into events (job_id, queue, type, attempt, worker_id)
                    select id, queue, case when too_late then 'expired' else 'claimed' end,
                           case when too_late then 0 else attempt end, case when not too_late then claim.worker_id end
                    from claimed
                    where (too_late or loud) and wants_event(queue, too_late)
                )
                select id, queue, kind, priority, seq, attempt, coalesce(max_attempts, settings.max_attempts),
                       coalesce(timeout, settings.timeout), created_at, tags, metadata, codec, payload, args
                from claimed
                where not too_late
                order by priority, seq;
            get diagnostics got = row_count;
            if got = 0 then
                -- Nothing is left, unless all that was picked has just expired: then look further.
                late_before := late;
                late := (select count(*) from results f where f.queue = queue_names[i]
                         and f.state = 'expired' and f.state <> 'completed' and f.finished_at = now());
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
-- +goose StatementEnd

-- +goose StatementBegin
-- complete(worker_id, job_ids, attempts, outputs, codecs, payloads): completes attempts that the worker holds;
-- outputs (JSON) or codecs and payloads (bytes) are their results. Returns the ids that were completed.
-- A missing id: its lease is lost (another worker has it, or it is finished); nothing was changed for it.
-- Locks: rows of running in the order of their ids.
create function complete(
    worker_id bigint, job_ids bigint[], attempts integer[], outputs jsonb[] default null,
    codecs text[] default null, payloads bytea[] default null)
returns setof bigint
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    loud constant boolean := events_wanted();
    now constant timestamptz := clock_timestamp();
    ids bigint[];
    numbers integer[];
    places integer[]; -- where in the arguments the sorted ones are; null: nowhere is there a result
begin
    select array_agg(u.id order by u.id), array_agg(u.attempt order by u.id),
           case when coalesce(outputs, '{}') <> '{}' or coalesce(payloads, '{}') <> '{}'
               then array_agg(u.place::integer order by u.id) end
    into ids, numbers, places
    from unnest(job_ids, attempts) with ordinality u(id, attempt, place)
    where u.id is not null;
    -- By "= any", without bitmaps, the rows are found by their keys and locked in the order of them; a join might
    -- walk all of running, dead rows included.
    return query
        with ended as (
            delete from running r
            where r.job_id = any(ids)
              and r.worker_id = complete.worker_id
              and r.attempt = numbers[width_bucket(r.job_id, ids)]
            returning r.job_id, r.queue, r.attempt, r.claimed_at, r.result_ttl, places[width_bucket(r.job_id, ids)] as place
        ), told as (
            insert into events (job_id, queue, type, attempt, worker_id)
            select job_id, queue, 'completed', attempt, complete.worker_id from ended
            where loud and wants_event(queue, false)
        )
        insert into results (job_id, queue, state, attempt, worker_id, claimed_at, finished_at, expires_at, codec, payload, output)
        select job_id, queue, 'completed', attempt, complete.worker_id, claimed_at, now, now + result_ttl,
               codecs[place], payloads[place], outputs[place]
        from ended
        returning job_id;
    if loud then
        perform notify_subscribers();
    end if;
end
$$;
comment on function complete is 'Completes attempts that a worker holds.';
-- +goose StatementEnd

-- +goose StatementBegin
-- counts(at_most): jobs per queue and state, one row for each state that has any. Counted up to at_most; beyond
-- it the figure is scaled up from a sample of some 200 pages of the table, and exact is false. So the cost does
-- not grow with the number of jobs. Completed jobs are counted while they fill few pages, else sampled.
-- Stable: all is counted in one snapshot, else a job that is claimed meanwhile would be missed in both its states.
create function counts(at_most integer default 10000)
returns table (queue text, state text, jobs bigint, exact boolean)
language plpgsql stable set search_path from current
set jit = off
as $$
#variable_conflict use_column
declare
    pages constant double precision := 200;
    ready_scale constant double precision := greatest(1, pg_relation_size('ready') / 8192 / pages);
    scheduled_scale constant double precision := greatest(1, pg_relation_size('scheduled') / 8192 / pages);
    results_scale constant double precision := greatest(1, pg_relation_size('results') / 8192 / pages);
begin
    return query select r.queue, 'running', count(*), true from running r group by 1;
    return query
        with sampled as materialized (
            select r.queue, 'ready' as state, sum(r.size) * ready_scale as jobs, ready_scale = 1 as exact
            from ready r tablesample system (100 / ready_scale) group by 1
            union all
            select s.queue, 'scheduled', count(*) * scheduled_scale, scheduled_scale = 1
            from scheduled s tablesample system (100 / scheduled_scale) group by 1
            union all
            select f.queue, f.state, count(*) * results_scale, results_scale = 1
            from results f tablesample system (100 / results_scale) group by 1, 2
        ), counted as (
            select n.queue, 'ready' as state, c.jobs, c.rows <= at_most as exact
            from queue_names() n(queue),
                 lateral (select coalesce(sum(r.size), 0) as jobs, count(*) as rows
                          from (select size from ready where queue = n.queue limit at_most + 1) r) c
            where ready_scale > 1
            union all
            select n.queue, 'scheduled', c.jobs, c.jobs <= at_most
            from queue_names() n(queue),
                 lateral (select count(*) as jobs
                          from (select from scheduled where queue = n.queue limit at_most + 1) s) c
            where scheduled_scale > 1
            union all
            select n.queue, t.state, c.jobs, c.jobs <= at_most
            from queue_names() n(queue),
                 unnest(array['failed', 'cancelled', 'skipped', 'expired']) t(state),
                 lateral (select count(*) as jobs
                          from (select from results f
                                where f.queue = n.queue and f.state = t.state and f.state <> 'completed'
                                limit at_most + 1) f) c
            where results_scale > 1
        )
        select queue, state,
               case when c.exact then c.jobs else greatest(c.jobs, round(s.jobs))::bigint end,
               coalesce(c.exact, s.exact)
        from sampled s
        full join counted c using (queue, state)
        where coalesce(c.jobs, s.jobs) > 0;
end
$$;
comment on function counts is 'Jobs per queue and state.';
-- +goose StatementEnd

-- +goose StatementBegin
-- delete(job_ids): deletes jobs with all that is known of them, unless they run.
-- Outcome per job: deleted, running (cancel it first), not_found.
create function delete(job_ids bigint[]) returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone bigint[];
    moved bigint[];
begin
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by p.place loop
            if found_at.place in ('running', 'not_found') then
                return query select id, found_at.place from unnest(found_at.ids) id;
                continue;
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
                continue;
            elsif found_at.place in ('ready', 'scheduled') then
                gone := array(select w.job_id from withdraw(found_at.ids) w);
            else
                with locked as materialized (
                    select f.job_id from results f where f.job_id = any(found_at.ids) order by f.job_id for update
                ), removed as (
                    delete from results f using locked l where f.job_id = l.job_id returning f.job_id
                )
                select coalesce(array_agg(r.job_id), '{}') into gone from removed r;
            end if;
            perform forget(gone);
            return query select id, 'deleted' from unnest(gone) id;
            moved := moved || array(select unnest(found_at.ids) except select unnest(gone));
        end loop;
        if moved = '{}' then
            return;
        end if;
        pending := moved;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function delete is 'Deletes jobs with all that is known of them, unless they run.';
-- +goose StatementEnd

-- +goose StatementBegin
-- disown(worker_id, held): gives back all jobs leased to a worker but those that it says it holds: leases from
-- claims whose answer was lost on the way. The attempts do not count. Returns as fail does.
-- The worker must not claim meanwhile.
create function disown(worker_id bigint, held bigint[]) returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
declare
    strays record;
begin
    select array_agg(r.job_id) as ids, array_agg(r.attempt) as attempts into strays
    from (select s.job_id, s.attempt from running s
          where s.worker_id = disown.worker_id and not s.job_id = any(held) order by s.job_id) r;
    if strays.ids is not null then
        return query
            select * from end_attempts(disown.worker_id, strays.ids, strays.attempts,
                array_fill('release'::text, array[cardinality(strays.ids)]), null, null, null);
    end if;
end
$$;
comment on function disown is 'Gives back jobs that a worker holds without knowing.';
-- +goose StatementEnd

-- +goose StatementBegin
-- do_chores(): what has to be done now and then by any worker, one at a time: promote, expire, rescue, prune.
-- Returns after how many milliseconds to call again: 0 when more is due at once, at most 1000, less when a
-- scheduled job is due earlier. Another session at it: 1000. Bounded: batches of 1,000 rows.
create function do_chores() returns integer
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set lock_timeout = '5s'
as $$
declare
    most constant integer := 1000;
    next_due timestamptz;
    more boolean;
begin
    if not pg_try_advisory_xact_lock(advisory_key('chores')) then
        return 1000;
    end if;
    more := promote_due(most) >= most;
    more := expire(most) >= most or more;
    if chore_is_due('rescue', interval '2 s') then
        more := rescue(most) >= most or more;
    end if;
    if chore_is_due('prune', interval '10 s') then
        if prune(most) >= most then
            update chores set last_run_at = '-infinity' where name = 'prune';
            more := true;
        end if;
    end if;
    if more then
        return 0;
    end if;
    select min(t.at) into next_due from (
        (select s.run_at as at from scheduled s where s.run_at > now() order by s.run_at limit 1)
        union all
        (select e.expires_at from expiries e where e.expires_at > now() order by e.expires_at limit 1)) t;
    return greatest(1, least(1000, ceil(coalesce(extract(epoch from next_due - clock_timestamp()) * 1000, 1000))));
end
$$;
comment on function do_chores is 'What any worker has to do now and then.';
-- +goose StatementEnd

-- +goose StatementBegin
-- end_attempts(worker_id, job_ids, attempts, verdict, delays, errors, details): ends attempts that the worker
-- holds in any way but success. Internal: fail, snooze, release and rescue are its forms.
-- Verdicts: retry (failed; again while attempts are left), fail (failed for good), cancel,
-- snooze (again after the delay; the attempt does not count), release (again now; does not count).
-- A job whose cancellation was asked for is cancelled whatever the verdict.
-- Returns the jobs that were ended and where they are now: ready, scheduled, failed or cancelled.
-- A missing job: its lease is lost; nothing was changed for it.
-- Locks: rows of running in the order of their ids.
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
begin
    select array_agg(u.id order by u.id), array_agg(u.attempt order by u.id), array_agg(u.place::integer order by u.id)
    into ids, numbers, places
    from unnest(job_ids, attempts) with ordinality u(id, attempt, place)
    where u.id is not null;
    -- By "= any", without bitmaps, the rows are found by their keys and locked in the order of them; a join might
    -- walk all of running, dead rows included.
    return query
        with gone as (
            delete from running r
            where r.job_id = any(ids)
              and r.worker_id = end_attempts.worker_id
              and r.attempt = numbers[width_bucket(r.job_id, ids)]
            returning r.*, places[width_bucket(r.job_id, ids)] as place
        ), ended as (
            select g.*, verdicts[place] as verdict, delays[place] as delay, left(errors[place], 20000) as error,
                   details[place] as detail
            from gone g
        ), judged as materialized (
            select e.job_id, e.queue, e.attempt, e.claimed_at, e.result_ttl, e.verdict, e.error, e.detail,
                   j.kind, j.priority,
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
            cross join lateral (
                select case e.verdict
                    when 'release' then interval '0'
                    when 'snooze' then e.delay
                    else coalesce(e.delay, backoff_delay(coalesce(j.backoff, s.backoff), e.attempt))
                end as delay) due
        ), again as (
            insert into ready (queue, priority, seq, job_id, attempt, kind)
            select queue, priority, nextval('jobs_id_seq'), job_id, counted, kind
            from judged
            where outcome = 'ready'
        ), later as (
            insert into scheduled (job_id, queue, run_at, attempt)
            select job_id, queue, run_at, counted
            from judged
            where outcome = 'scheduled'
        ), finished as (
            insert into results (job_id, queue, state, attempt, worker_id, claimed_at, finished_at, expires_at, error)
            select job_id, queue, outcome, attempt, end_attempts.worker_id, claimed_at, now, now + result_ttl, error
            from judged
            where outcome in ('failed', 'cancelled')
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
        select job_id, outcome from judged;
    woken := array(
        select distinct j.queue
        from ready r
        join jobs j on j.id = r.job_id
        where r.job_id = any(job_ids) and r.seq <> r.job_id);
    if woken <> '{}' then
        perform wake(woken);
    end if;
    perform notify_subscribers();
end
$$;
comment on function end_attempts is 'Ends attempts in any way but success.';
-- +goose StatementEnd

-- +goose StatementBegin
-- enqueue(kind, args, …): adds a job in the caller's transaction and returns its id.
--
--   select pgq.enqueue('send_mail', '{"to": 1}', queue => 'mail', delay => '5 min');
--
-- queue, priority 0 (soonest) to 9, delay or run_at, max_attempts, timeout, backoff (see backoff_problem),
-- tags, metadata (an object), ttl (expires unless started by then), result_ttl (how long the result is
-- kept), codec and payload (bytes instead of JSON args), wake_workers (false: leave it to polling).
-- Raises PQ001 for a field that breaks a rule, PQ002 for a full queue, a warning past the warning depth.
create function enqueue(
    kind text, args jsonb default null, queue text default 'default', priority integer default 5,
    delay interval default null, run_at timestamptz default null, max_attempts integer default null,
    timeout interval default null, backoff jsonb default null, tags text[] default null,
    metadata jsonb default null, ttl interval default null, result_ttl interval default null,
    codec text default null, payload bytea default null, wake_workers boolean default true
) returns bigint
language plpgsql set search_path from current
as $$
declare
    added constant record := enqueue_one(kind, args, queue, priority, delay, run_at, max_attempts, timeout,
        backoff, tags, metadata, ttl, result_ttl, codec, payload, wake_workers);
begin
    if added.near_limit then
        raise warning using
            errcode = 'PQ002',
            message = format('queue %s is past its warning depth', to_json(queue));
    end if;
    return added.job_id;
end
$$;
comment on function enqueue is 'Adds a job in the caller''s transaction and returns its id.';
-- +goose StatementEnd

-- +goose StatementBegin
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
-- +goose StatementEnd

-- +goose StatementBegin
-- enqueue_one(...): what enqueue does, and whether the queue is past its warning depth. Internal: the Go client's form.
-- Inserts into jobs and into ready or scheduled; takes no row locks. One row always.
create function enqueue_one(
    kind text, args jsonb, queue text, priority integer, delay interval, run_at timestamptz,
    max_attempts integer, timeout interval, backoff jsonb, tags text[], metadata jsonb,
    ttl interval, result_ttl interval, codec text, payload bytea, wake_workers boolean,
    out job_id bigint, out near_limit boolean
)
language plpgsql set search_path from current
as $$
#variable_conflict use_variable
declare
    problem constant text[] := job_problem(kind, queue, priority, delay, run_at, max_attempts, timeout,
        backoff, tags, metadata, ttl, result_ttl, codec, payload, args);
    size constant integer := coalesce(pg_column_size(args), octet_length(payload), 0);
    due constant timestamptz := coalesce(run_at, now() + delay);
    -- Whether a limit or a wish for events might concern this job: one look that mostly says no.
    special constant boolean :=
        exists (select from queues q
                where q.name in (queue, '*')
                  and (q.max_depth is not null or q.warn_depth is not null or q.events = 'all' or q.max_args_bytes < size))
        or exists (select from subscribers where alive_until > now());
begin
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
    near_limit := special and check_limits(queue, size);

    insert into jobs (queue, kind, priority, max_attempts, timeout, backoff, result_ttl, expires_at,
                      tags, metadata, codec, payload, args)
    values (queue, kind, priority, max_attempts, timeout, backoff, result_ttl, now() + ttl,
            tags, metadata, codec, payload, args)
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
-- +goose StatementEnd

-- +goose StatementBegin
-- enqueue_reserve(queue_names, counts): prepares a bulk enqueue by COPY: refuses to overfill queues (PQ002), and
-- draws as many job ids as counts add up to: first_id and those after it, or, when others drew some in between, the
-- rising ids. Also the time from which delays count, and whether somebody wants the events of the jobs. The caller
-- then copies into jobs, ready, scheduled and expiries in the same transaction and ends with announce.
-- Null at: the caller has no right to do that and uses enqueue_many. Internal: the Go client's EnqueueMany.
create function enqueue_reserve(
    queue_names text[], counts bigint[],
    out first_id bigint, out ids bigint[], out at timestamptz, out loud boolean
)
language plpgsql set search_path from current
as $$
begin
    if not (has_table_privilege('jobs', 'insert') and has_table_privilege('ready', 'insert')) then
        return;
    end if;
    perform check_depth(u.name, u.adding, s.max_depth, s.warn_depth)
    from unnest(queue_names, counts) u(name, adding), settings_of(u.name) s
    where s.max_depth is not null;
    ids := array(select nextval('jobs_id_seq')
                 from generate_series(1, (select sum(n) from unnest(counts) n)));
    first_id := ids[1];
    if ids[cardinality(ids)] - first_id + 1 = cardinality(ids) then
        ids := null;
    end if;
    at := now();
    loud := events_wanted();
end
$$;
comment on function enqueue_reserve is 'Prepares a bulk enqueue by COPY.';
-- +goose StatementEnd

-- +goose StatementBegin
-- event_channel(): the NOTIFY channel on which readers of the event stream are woken. Empty payload.
create function event_channel() returns text
language sql stable
as $$ select 'pgq:' || current_schema() || ':ev' $$;
comment on function event_channel is 'NOTIFY channel of the readers of the event stream.';
-- +goose StatementEnd

-- +goose StatementBegin
-- events_wanted(): whether anybody wants the events of the hot path (enqueued, claimed, completed):
-- a live subscriber, or a queue whose level is 'all'. False costs two look-ups per batch and nothing per job.
-- Internal, as all functions without a search_path of their own: called by functions that have one.
create function events_wanted() returns boolean
language plpgsql stable
as $$
begin
    return exists (select from subscribers where alive_until > now())
        or exists (select from queues where events = 'all');
end
$$;
comment on function events_wanted is 'Whether anybody wants the events of the hot path.';
-- +goose StatementEnd

-- +goose StatementBegin
-- expire(at_most): finishes up to at_most jobs as expired whose time to live has passed before they were
-- started. Jobs that were started are left alone. Returns how many entries were looked at.
-- Locks: rows of expiries, skipping those that others have locked; then what withdraw locks.
create function expire(at_most integer default 1000) returns integer
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    due bigint[];
    pending bigint[];
    gone record;
begin
    with overdue as (
        delete from expiries
        where ctid = any(array(
            select e.ctid from expiries e
            where e.expires_at <= now()
            order by e.expires_at, e.job_id
            limit at_most
            for update skip locked))
        returning job_id
    )
    select coalesce(array_agg(job_id order by job_id), '{}') into due from overdue;
    pending := array(select j.id from jobs j where j.id = any(due) and j.expires_at <= now());
    -- A job whose run somebody splits at the same moment is missed once: look again at what still waits.
    for round in 1 .. 100 loop
        exit when pending = '{}';
        select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
               array_agg(w.queue order by w.job_id) as queues,
               array_agg(w.attempt order by w.job_id) as attempts
        into gone from withdraw(pending, true) w;
        perform settle(gone.ids, gone.queues, gone.attempts, 'expired', 'not started within its time to live');
        pending := array(
            select s.id from job_states s
            where s.id = any(pending) and s.state in ('ready', 'scheduled') and s.attempt = 0);
    end loop;
    if pending <> '{}' then
        perform too_busy(pending);
    end if;
    return cardinality(due);
end
$$;
comment on function expire is 'Finishes jobs as expired whose time to live has passed.';
-- +goose StatementEnd

-- +goose StatementBegin
-- fail(worker_id, job_ids, attempts, errors, delays, retryable, details): says that attempts failed.
-- A retryable attempt (the default) runs again after its delay (null: after the backoff of the job, the
-- queue or '*') while it has attempts left; else the job ends as failed. Errors are cut at 20,000
-- characters; details (an object per attempt: stack …) go to the events.
-- Returns the jobs that were ended and where they are now: ready, scheduled, failed or cancelled.
-- A missing job: its lease is lost; nothing was changed for it.
create function fail(
    worker_id bigint, job_ids bigint[], attempts integer[], errors text[], delays interval[] default null,
    retryable boolean[] default null, details jsonb[] default null)
returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    return query
        select * from end_attempts(
            fail.worker_id, job_ids, attempts,
            array(select case when coalesce(retryable[i], true) then 'retry' else 'fail' end
                  from generate_subscripts(job_ids, 1) i),
            delays, errors, details);
end
$$;
comment on function fail is 'Says that attempts failed; they run again while attempts are left.';
-- +goose StatementEnd

-- +goose StatementBegin
-- forget(job_ids): deletes what is known of jobs whose place the caller has just deleted. Internal.
-- jobs comes before logs, because add_logs locks it: what is added meanwhile is waited for, and deleted too.
create function forget(job_ids bigint[]) returns void
language plpgsql
as $$
begin
    -- "offset 0" keeps the planner from walking all of expiries where it takes them for few.
    delete from expiries
    where ctid = any(array(
        select e.tid
        from jobs j
        cross join lateral (
            select x.ctid as tid from expiries x where x.expires_at = j.expires_at and x.job_id = j.id offset 0) e
        where j.id = any(job_ids)));
    delete from jobs where id = any(job_ids);
    delete from progress where job_id = any(job_ids);
    delete from logs where job_id = any(job_ids);
end
$$;
comment on function forget is 'Deletes what is known of jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- give_up(worker_id, job_ids, attempts, reasons): ends attempts as cancelled: the handler saw that the job
-- need not be done, or obeyed a cancellation. Returns as fail does.
create function give_up(worker_id bigint, job_ids bigint[], attempts integer[], reasons text[] default null)
returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    return query
        select * from end_attempts(give_up.worker_id, job_ids, attempts,
            array_fill('cancel'::text, array[cardinality(job_ids)]), null, reasons, null);
end
$$;
comment on function give_up is 'Ends attempts as cancelled.';
-- +goose StatementEnd

-- +goose StatementBegin
-- heartbeat(worker_id): says that the worker lives; returns the attempts of its that shall be cancelled.
-- Raises PQ005 when the worker is not registered or was declared dead: all its leases are lost.
-- Locks the worker's row only.
create function heartbeat(worker_id bigint) returns table (job_id bigint, attempt integer)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    update workers set heartbeat_at = clock_timestamp()
    where id = heartbeat.worker_id and dead_at is null;
    if not found then
        raise exception using
            errcode = 'PQ005',
            message = format('worker %s is not registered or was declared dead', heartbeat.worker_id);
    end if;
    return query
        select r.job_id, r.attempt from running r
        where r.cancel_requested_at is not null and r.worker_id = heartbeat.worker_id;
end
$$;
comment on function heartbeat is 'Says that a worker lives; returns its attempts that shall be cancelled.';
-- +goose StatementEnd

-- +goose StatementBegin
-- invalid(field, rule): raises PQ001. Clients find the field in COLUMN and the rule in DETAIL.
create function invalid(field text, rule text) returns void
language plpgsql
as $$
begin
    raise exception using
        errcode = 'PQ001',
        message = format('%s %s', field, rule),
        column = field,
        detail = rule;
end
$$;
comment on function invalid is 'Raises PQ001: a field breaks a rule.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_history(job_id): what happened to a job, in order: enqueued and its end from the tables of facts, what
-- lay between from the events (which the queue's level may leave out).
create function job_history(job_id bigint)
returns table (id bigint, at timestamptz, type text, attempt integer, worker_id bigint, data jsonb)
language sql stable set search_path from current set jit = off
as $$
    select h.* from (
        select null::bigint as id, j.created_at as at, 'enqueued' as type, null::integer as attempt,
               null::bigint as worker_id, null::jsonb as data
        from jobs j
        where j.id = job_history.job_id
          and not exists (select from events e where e.job_id = j.id and e.type = 'enqueued')
        union all
        select e.id, e.at, e.type, e.attempt, e.worker_id, e.data
        from events e where e.job_id = job_history.job_id
        union all
        select null, f.finished_at, f.state, f.attempt, f.worker_id,
               jsonb_strip_nulls(jsonb_build_object('error', f.error))
        from results f
        where f.job_id = job_history.job_id
          and not exists (select from events e where e.job_id = f.job_id and e.type = f.state
                          and e.attempt is not distinct from f.attempt)
    ) h
    order by h.at, h.id nulls first
$$;
comment on function job_history is 'What happened to a job, in order.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_problem(...): the first rule that a job to be enqueued breaks, as {field, rule}; null when none.
-- The same rules stand in Go (pgq/validate.go) and, as far as they can, as constraints on jobs.
create function job_problem(
    kind text, queue text, priority integer, delay interval, run_at timestamptz,
    max_attempts integer, timeout interval, backoff jsonb, tags text[], metadata jsonb,
    ttl interval, result_ttl interval, codec text, payload bytea, args jsonb
) returns text[]
language plpgsql immutable
as $$
begin
    return case
        when kind is null or length(kind) not between 1 and 128 then array['kind', 'must have 1 to 128 characters']
        when kind collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then array['kind', 'must not have control characters']
        when queue is null or length(queue) not between 1 and 128 then array['queue', 'must have 1 to 128 characters']
        when queue collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then array['queue', 'must not have control characters']
        when queue = '*' then array['queue', 'must not be "*", which stands for the defaults of all queues']
        when priority is null or priority not between 0 and 9 then array['priority', 'must be 0 to 9']
        when delay is not null and run_at is not null then array['delay', 'must not be given together with run_at']
        when delay < interval '0' then array['delay', 'must not be negative']
        when delay > interval '100 years' then array['delay', 'must be at most 100 years']
        when run_at < '0001-01-01 00:00+00' or run_at >= '10000-01-01 00:00+00'
            then array['run_at', 'must be in the years 1 to 9999']
        when max_attempts < 1 then array['max_attempts', 'must be at least 1']
        when timeout <= interval '0' then array['timeout', 'must be positive']
        when timeout > interval '100 years' then array['timeout', 'must be at most 100 years']
        when ttl <= interval '0' then array['ttl', 'must be positive']
        when ttl > interval '100 years' then array['ttl', 'must be at most 100 years']
        when result_ttl < interval '0' then array['result_ttl', 'must not be negative']
        when result_ttl > interval '100 years' then array['result_ttl', 'must be at most 100 years']
        when backoff is not null and backoff_problem(backoff) is not null then array['backoff', backoff_problem(backoff)]
        when cardinality(tags) > 64 then array['tags', 'must be at most 64']
        when array_position(tags, null) is not null then array['tags', 'must not be null']
        when metadata is not null and jsonb_typeof(metadata) <> 'object' then array['metadata', 'must be a JSON object']
        when codec = '' then array['codec', 'must not be empty']
        when (codec is null) <> (payload is null) then array['payload', 'must be given together with its codec']
        when args is not null and payload is not null then array['args', 'must not be given together with a payload']
    end;
end
$$;
comment on function job_problem is 'First rule that a job to be enqueued breaks, as {field, rule}.';
-- +goose StatementEnd

-- +goose StatementBegin
-- jobs_from_json(jobs): the jobs of a JSON array as rows, with the defaults of enqueue. Internal.
create function jobs_from_json(jobs jsonb)
returns table (
    index bigint, kind text, args jsonb, queue text, priority integer, delay interval, run_at timestamptz,
    max_attempts integer, timeout interval, backoff jsonb, tags text[], metadata jsonb, ttl interval,
    result_ttl interval, codec text, payload bytea)
language sql stable
as $$
    select e.ordinality - 1, r.kind, nullif(e.value -> 'args', 'null'), coalesce(r.queue, 'default'),
           coalesce(r.priority, 5), r.delay, r.run_at, r.max_attempts, r.timeout, nullif(r.backoff, 'null'),
           r.tags, nullif(r.metadata, 'null'), r.ttl, r.result_ttl, r.codec, decode(r.payload, 'base64')
    from jsonb_array_elements(jobs) with ordinality e,
         jsonb_to_record(e.value) as r(
             kind text, queue text, priority integer, delay interval, run_at timestamptz, max_attempts integer,
             timeout interval, backoff jsonb, tags text[], metadata jsonb, ttl interval, result_ttl interval,
             codec text, payload text)
$$;
comment on function jobs_from_json is 'The jobs of a JSON array as rows.';
-- +goose StatementEnd

-- +goose StatementBegin
-- list_jobs(…): ids of jobs, newest first, that fit all filters given (null: any), below the cursor before_id.
-- states: as in job_states. args and metadata: contained in the job's. error: part of the error text.
-- One state at a time is read from the small table of that state; several, or none, from jobs.
create function list_jobs(
    queues text[] default null, kinds text[] default null, states text[] default null,
    all_tags text[] default null, since timestamptz default null, until timestamptz default null,
    args jsonb default null, metadata jsonb default null, error text default null,
    before_id bigint default null, at_most integer default 100)
returns setof bigint
language plpgsql stable set search_path from current
set plan_cache_mode = force_custom_plan set jit = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    below constant bigint := coalesce(before_id, 9223372036854775807);
    source constant text := case
        when cardinality(states) is distinct from 1 then 'jobs'
        when states[1] = 'ready' and (select count(*) from (select from ready limit 100001) r) > 100000 then 'jobs'
        when states[1] in ('scheduled', 'running', 'ready') then states[1]
        when states[1] in ('completed', 'failed', 'cancelled', 'skipped', 'expired') then 'results'
        else 'jobs'
    end;
begin
    if exists (select from unnest(states) s where s is null or s not in ('scheduled', 'ready', 'running', 'completed',
                                                                       'failed', 'cancelled', 'skipped', 'expired')) then
        perform invalid('states', 'must be scheduled, ready, running, completed, failed, cancelled, skipped or expired');
    elsif at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query execute format($query$
        select c.id
        from (%s) c
        join jobs j on j.id = c.id
        where c.id < $1
          and ($2 is null or j.queue = any($2))
          and ($3 is null or j.kind = any($3))
          and ($4 is null or (select s.state from job_states s where s.id = c.id) = any($4))
          and ($5 is null or j.tags @> $5)
          and ($6 is null or j.created_at >= $6)
          and ($7 is null or j.created_at < $7)
          and ($8 is null or j.args @> $8)
          and ($9 is null or j.metadata @> $9)
          and ($10 is null or exists (select from results f where f.job_id = c.id and strpos(f.error, $10) > 0))
        order by c.id desc
        limit $11
        $query$,
        case source
            when 'jobs' then 'select id from jobs'
            when 'ready' then 'select r.job_id + g as id from ready r, generate_series(0, r.size - 1) g'
            when 'results' then format('select job_id as id from results where state = %L', states[1])
            else format('select job_id as id from %I', source)
        end)
    using below, queues, kinds, case when source = 'jobs' then states end, all_tags, since, until,
          list_jobs.args, list_jobs.metadata, list_jobs.error, at_most;
end
$$;
comment on function list_jobs is 'Ids of jobs that fit filters, newest first.';
-- +goose StatementEnd

-- +goose StatementBegin
-- max_run_size(): how many jobs a row of ready holds at the most. Larger runs make bulk work cheaper,
-- smaller ones let more workers claim from one bulk at the same time.
create function max_run_size() returns integer
language sql immutable
as $$ select 100 $$;
comment on function max_run_size is 'How many jobs a row of ready holds at the most.';
-- +goose StatementEnd

-- +goose StatementBegin
-- notify_subscribers(): wakes the readers of the event stream, if there are any, once the transaction commits.
create function notify_subscribers() returns void
language plpgsql
as $$
begin
    if exists (select from subscribers where alive_until > now()) then
        perform pg_notify(event_channel(), '');
    end if;
end
$$;
comment on function notify_subscribers is 'Wakes the readers of the event stream.';
-- +goose StatementEnd

-- +goose StatementBegin
-- pause_queue(name, reason): keeps jobs of a queue from being claimed; running ones go on. Idempotent: the
-- first pause's time and reason stay. Creates the queue. '*' cannot be paused.
create function pause_queue(name text, reason text default null) returns void
language plpgsql set search_path from current
as $$
begin
    if coalesce(pause_queue.name, '*') = '*' or length(pause_queue.name) not between 1 and 128 then
        perform invalid('queue', 'must have 1 to 128 characters and not be "*"');
    end if;
    insert into queues as q (name, paused_at, pause_reason)
    values (pause_queue.name, now(), reason)
    on conflict on constraint queues_pkey do update
    set paused_at = now(), pause_reason = excluded.pause_reason, updated_at = now()
    where q.paused_at is null;
    if found then
        perform record_event('paused', null, pause_queue.name, null, null,
                             jsonb_strip_nulls(jsonb_build_object('reason', reason)));
    end if;
end
$$;
comment on function pause_queue is 'Keeps jobs of a queue from being claimed.';
-- +goose StatementEnd

-- +goose StatementBegin
-- places(job_ids): where jobs are, all in one snapshot, so that each is in exactly one place:
-- a state of job_states, or not_found. Internal: the operators' verbs look, act, and look again at what moved.
create function places(job_ids bigint[]) returns table (job_id bigint, place text)
language plpgsql stable
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
        select u.id, coalesce(s.state, 'not_found')
        from (select distinct id from unnest(job_ids) id where id is not null) u
        left join lateral (select j.state from job_states j where j.id = u.id offset 0) s on true
        order by u.id;
end
$$;
comment on function places is 'Where jobs are, in one snapshot.';
-- +goose StatementEnd

-- +goose StatementBegin
-- promote(at_most, since): makes up to at_most scheduled jobs ready whose time has come, soonest first, and wakes
-- workers. It looks from the time since on: do_chores mostly begins a little before where it stopped, so that
-- dead rows that a long transaction elsewhere keeps are not walked each time.
-- Returns how many, and the time of the last one. Locks: rows of scheduled, skipping those that others have locked.
create function promote(
    at_most integer default 1000, since timestamptz default '-infinity', out promoted integer, out up_to timestamptz)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    woken text[];
begin
    with due as (
        delete from scheduled
        where ctid = any(array(
            select s.ctid from scheduled s
            where s.run_at <= now() and s.run_at >= since
            order by s.run_at
            limit at_most
            for update skip locked))
        returning job_id, run_at, attempt
    ), added as (
        insert into ready (queue, priority, seq, job_id, attempt, kind)
        select j.queue, j.priority, nextval('jobs_id_seq'), j.id, d.attempt, j.kind
        from (select * from due order by run_at, job_id) d
        cross join lateral (select * from jobs where jobs.id = d.job_id offset 0) j
        returning queue
    )
    select (select array_agg(distinct queue) from added), count(*), max(run_at)
    into woken, promoted, up_to
    from due;
    if promoted > 0 then
        perform wake(woken);
    end if;
end
$$;
comment on function promote is 'Makes scheduled jobs ready whose time has come.';
-- +goose StatementEnd

-- +goose StatementBegin
-- promote_due(at_most): promote from where it stopped the last time, less a minute for transactions that committed
-- late; from the start every ten seconds. Returns how many jobs were promoted. Internal: do_chores.
create function promote_due(at_most integer) returns integer
language plpgsql
as $$
declare
    whole constant boolean := chore_is_due('promote', interval '10 s');
    chore chores;
    result record;
begin
    select * into chore from chores where name = 'promote';
    select * into result
    from promote(at_most, case when whole then '-infinity' else to_timestamp(chore.position) - interval '1 min' end);
    if result.promoted > 0 then
        update chores set position = extract(epoch from result.up_to) where name = 'promote';
    end if;
    return result.promoted;
end
$$;
comment on function promote_due is 'Promotes from where it stopped the last time.';
-- +goose StatementEnd

-- +goose StatementBegin
-- prune(at_most): deletes up to about at_most finished jobs of each sort that were kept for as long as their queue
-- says (keep_completed …) or as their result_ttl says, and events and subscribers that are past.
-- Completed jobs are found by walk_completed, the others by their index. Returns how many jobs were deleted.
create function prune(at_most integer default 1000) returns integer
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    due bigint[];
    longest interval;
begin
    due := walk_completed(at_most) || array(
        select f.job_id from results f where f.expires_at <= now() order by f.expires_at limit at_most);
    due := due || array(
        with recursive groups as (
            (select queue, state from results where state <> 'completed' order by queue, state limit 1)
            union all
            select next.queue, next.state
            from groups g
            cross join lateral (
                select f.queue, f.state from results f
                where f.state <> 'completed' and (f.queue, f.state) > (g.queue, g.state)
                order by f.queue, f.state limit 1) next)
        select old.job_id
        from groups g
        cross join lateral settings_of(g.queue) s
        cross join lateral (
            select f.job_id from results f
            where f.queue = g.queue and f.state = g.state and f.state <> 'completed' and f.expires_at is null
              and f.finished_at < now() - case g.state
                  when 'failed' then s.keep_failed when 'expired' then s.keep_expired else s.keep_cancelled end
            order by f.finished_at limit at_most) old);
    with locked as materialized (
        select ctid as tid from results where job_id = any(due) order by job_id for update skip locked
    ), removed as (
        delete from results f where f.ctid = any(array(select tid from locked)) returning f.job_id
    )
    select coalesce(array_agg(job_id), '{}') into due from removed;
    perform forget(due);

    select max(greatest(keep_completed, keep_failed, keep_cancelled, keep_expired)) into longest from queues;
    delete from events where id in (select id from events where at < now() - longest order by id limit at_most);
    delete from subscribers where alive_until < now() - interval '1 hour';
    return cardinality(due);
end
$$;
comment on function prune is 'Deletes finished jobs that were kept long enough.';
-- +goose StatementEnd

-- +goose StatementBegin
-- put_ready(job_ids, attempts): makes jobs ready again, each with a new seq, and wakes workers. Internal: the
-- caller has just taken the jobs from where they were.
create function put_ready(job_ids bigint[], attempts integer[]) returns void
language plpgsql
as $$
begin
    insert into ready (queue, priority, seq, job_id, attempt, kind)
    select j.queue, j.priority, nextval('jobs_id_seq'), j.id, u.attempt, j.kind
    from unnest(job_ids, attempts) u(id, attempt)
    cross join lateral (select * from jobs where jobs.id = u.id offset 0) j;
    perform wake(array(select distinct j.queue from jobs j where j.id = any(job_ids)));
end
$$;
comment on function put_ready is 'Makes jobs ready again.';
-- +goose StatementEnd

-- +goose StatementBegin
-- queue_depth(queue_name, at_most): how many jobs of a queue wait to be started (ready or scheduled),
-- counted up to at_most, so that the cost is bounded by it.
create function queue_depth(queue_name text, at_most bigint) returns bigint
language sql stable
set jit = off set enable_seqscan = off
as $$
    select least(at_most,
        (select coalesce(sum(size), 0)
         from (select size from ready where queue = queue_name limit at_most) r)
        + (select count(*)
           from (select from scheduled where queue = queue_name limit at_most) s))
$$;
comment on function queue_depth is 'Jobs of a queue that wait to be started, counted up to a bound.';
-- +goose StatementEnd

-- +goose StatementBegin
-- queue_names(): the names of all queues that are registered or hold jobs, in order. Walks the indexes from
-- name to name, so that the cost grows with the number of queues and not with that of jobs. Internal.
create function queue_names() returns setof text
language sql stable
set jit = off set enable_seqscan = off
as $$
    with recursive in_ready as (
        (select queue from ready order by queue limit 1)
        union all
        select (select r.queue from ready r where r.queue > i.queue order by r.queue limit 1) from in_ready i where i.queue is not null
    ), in_scheduled as (
        (select queue from scheduled order by queue limit 1)
        union all
        select (select s.queue from scheduled s where s.queue > i.queue order by s.queue limit 1) from in_scheduled i where i.queue is not null
    ), in_results as (
        (select queue from results where state <> 'completed' order by queue limit 1)
        union all
        select (select f.queue from results f where f.state <> 'completed' and f.queue > i.queue order by f.queue limit 1)
        from in_results i where i.queue is not null
    )
    select name from queues where name <> '*'
    union select queue from in_ready where queue is not null
    union select queue from in_scheduled where queue is not null
    union select queue from in_results where queue is not null
    order by 1
$$;
comment on function queue_names is 'Names of all queues that are registered or hold jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- queue_settings(queue_name): the settings in force for a queue: its own, else those of '*'. One row always.
create function queue_settings(queue_name text)
returns table (
    paused boolean, max_depth bigint, warn_depth bigint, max_args_bytes bigint, max_attempts integer,
    timeout interval, backoff jsonb, keep_completed interval, keep_failed interval,
    keep_cancelled interval, keep_expired interval, events text)
language sql stable set search_path from current
as $$ select * from settings_of(queue_name) $$;
comment on function queue_settings is 'Settings in force for a queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- read_events(after_id, gaps, at_most): events behind after_id, and those among gaps that have been committed
-- meanwhile (ids drawn by transactions that were still open when their successors were read). In order of id.
create function read_events(after_id bigint, gaps bigint[] default '{}', at_most integer default 1000)
returns table (id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language sql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
    select e.*, j.kind
    from (
        select * from events where id = any(gaps)
        union all
        (select * from events where id > after_id order by id limit at_most)
    ) e
    left join jobs j on j.id = e.job_id
    order by e.id
$$;
comment on function read_events is 'Events behind an id.';
-- +goose StatementEnd

-- +goose StatementBegin
-- record_event(type, job_id, queue, attempt, worker_id, data): writes an event that says more than that a
-- job went its usual way, unless the queue wants none. Wakes subscribers.
create function record_event(
    type text, job_id bigint, queue text, attempt integer default null, worker_id bigint default null,
    data jsonb default null)
returns void
language plpgsql
as $$
begin
    if wants_event(record_event.queue, true) then
        insert into events (type, job_id, queue, attempt, worker_id, data)
        values (record_event.type, record_event.job_id, record_event.queue, record_event.attempt,
                record_event.worker_id, record_event.data);
        perform notify_subscribers();
    end if;
end
$$;
comment on function record_event is 'Writes an event.';
-- +goose StatementEnd

-- +goose StatementBegin
-- register_worker(name, queues, kinds, lease): registers a worker process and returns its id, with which
-- it claims. It must call heartbeat more often than its lease lasts, or it is declared dead.
create function register_worker(name text, queues text[], kinds text[], lease interval default '30 s')
returns bigint
language plpgsql set search_path from current
as $$
declare
    new_id bigint;
begin
    if register_worker.lease is null or register_worker.lease < interval '1 second' then
        perform invalid('lease', 'must be at least 1 second');
    end if;
    insert into workers (name, queues, kinds, lease)
    values (register_worker.name, coalesce(register_worker.queues, '{}'), coalesce(register_worker.kinds, '{}'),
            register_worker.lease)
    returning id into new_id;
    insert into queues (name)
    select distinct q from unnest(register_worker.queues) q
    order by q
    on conflict do nothing;
    return new_id;
end
$$;
comment on function register_worker is 'Registers a worker process and returns its id.';
-- +goose StatementEnd

-- +goose StatementBegin
-- release(worker_id, job_ids, attempts): gives jobs back that the worker holds and did not start or could not
-- finish through no fault of theirs. The attempt does not count. Returns as fail does.
create function release(worker_id bigint, job_ids bigint[], attempts integer[])
returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    return query
        select * from end_attempts(release.worker_id, job_ids, attempts,
            array_fill('release'::text, array[cardinality(job_ids)]), null, null, null);
end
$$;
comment on function release is 'Gives jobs back that a worker holds.';
-- +goose StatementEnd

-- +goose StatementBegin
-- report_progress(worker_id, job_id, attempt, done, total): says how far a running job is (0 total: unknown).
-- False, and nothing is written, when the lease is lost. Locks: the row of running against its end.
create function report_progress(worker_id bigint, job_id bigint, attempt integer, done bigint, total bigint)
returns boolean
language plpgsql set search_path from current
as $$
#variable_conflict use_variable
begin
    if done < 0 or total < 0 then
        perform invalid('progress', 'must not be negative');
    end if;
    insert into progress as p (job_id, attempt, done, total)
    select r.job_id, r.attempt, report_progress.done, report_progress.total
    from running r
    where r.job_id = report_progress.job_id and r.attempt = report_progress.attempt
      and r.worker_id = report_progress.worker_id
    for key share
    on conflict on constraint progress_pkey do update
    set attempt = excluded.attempt, done = excluded.done, total = excluded.total, updated_at = now();
    return found;
end
$$;
comment on function report_progress is 'Says how far a running job is.';
-- +goose StatementEnd

-- +goose StatementBegin
-- reschedule(job_ids, run_at): moves jobs that wait (ready or scheduled) to another time; a time that is past
-- makes them ready. Outcome per job: scheduled, ready, running, finished (use retry), not_found.
-- Raises PQ001 when run_at is missing or infinite.
create function reschedule(job_ids bigint[], run_at timestamptz) returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone record;
    moved bigint[];
begin
    if reschedule.run_at is null or not isfinite(reschedule.run_at) then
        perform invalid('run_at', 'must be finite');
    end if;
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by p.place loop
            if found_at.place in ('ready', 'scheduled') then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw(found_at.ids) w;
                if reschedule.run_at > now() then
                    insert into scheduled (job_id, queue, run_at, attempt)
                    select u.id, u.queue, reschedule.run_at, u.attempt
                    from unnest(gone.ids, gone.queues, gone.attempts) u(id, queue, attempt);
                else
                    perform put_ready(gone.ids, gone.attempts);
                end if;
                perform record_event('rescheduled', u.id, u.queue, u.attempt, null, jsonb_build_object('run_at', reschedule.run_at))
                from unnest(gone.ids, gone.queues, gone.attempts) u(id, queue, attempt);
                return query
                    select id, case when reschedule.run_at > now() then 'scheduled' else 'ready' end from unnest(gone.ids) id;
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
            else
                return query
                    select id, case when found_at.place in ('running', 'not_found') then found_at.place else 'finished' end
                    from unnest(found_at.ids) id;
            end if;
        end loop;
        if moved = '{}' then
            return;
        end if;
        pending := moved;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function reschedule is 'Moves jobs that wait to another time.';
-- +goose StatementEnd

-- +goose StatementBegin
-- rescue(at_most): declares workers dead that have not heartbeat for their lease, and ends up to at_most
-- attempts per dead worker. Returns how many attempts were ended.
-- Locks: per silent worker its advisory lock (one that is claiming has it and lives), its row, then rows of
-- running in the order of their ids.
create function rescue(at_most integer default 1000) returns integer
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
declare
    silent bigint;
    ended integer := 0;
begin
    for silent in
        select w.id from workers w
        where w.dead_at is not null or w.heartbeat_at < clock_timestamp() - w.lease
        order by w.id
    loop
        if not pg_try_advisory_xact_lock(advisory_key('worker/' || silent)) then
            continue;
        end if;
        update workers set dead_at = coalesce(dead_at, clock_timestamp())
        where id = silent and (dead_at is not null or heartbeat_at < clock_timestamp() - lease);
        if found then
            ended := ended + rescue_worker(silent, at_most);
        end if;
    end loop;
    return ended;
end
$$;
comment on function rescue is 'Declares silent workers dead and ends their attempts.';
-- +goose StatementEnd

-- +goose StatementBegin
-- rescue_worker(worker_id, at_most): ends up to at_most attempts of a worker that is dead: they run again while
-- attempts are left, else their jobs have failed. Takes the worker off the register once it holds nothing.
-- Returns how many attempts were ended. Internal: rescue and retire_worker.
create function rescue_worker(worker_id bigint, at_most integer) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
    held record;
    ended integer;
begin
    select array_agg(r.job_id) as ids, array_agg(r.attempt) as attempts into held
    from (select job_id, attempt from running where worker_id = rescue_worker.worker_id order by job_id limit at_most) r;
    if held.ids is null then
        delete from workers where id = rescue_worker.worker_id and dead_at is not null;
        return 0;
    end if;
    select count(*) into ended
    from end_attempts(rescue_worker.worker_id, held.ids, held.attempts,
        array_fill('retry'::text, array[cardinality(held.ids)]),
        array_fill(interval '0', array[cardinality(held.ids)]),
        array_fill(format('lease lost: worker %s stopped', rescue_worker.worker_id), array[cardinality(held.ids)]),
        array_fill('{"lease_lost": true}'::jsonb, array[cardinality(held.ids)]));
    return ended;
end
$$;
comment on function rescue_worker is 'Ends attempts of a dead worker.';
-- +goose StatementEnd

-- +goose StatementBegin
-- resume_queue(name): lets jobs of a paused queue be claimed again and wakes workers. Raises PQ004 when there
-- is no such queue; a queue that is not paused is left as it is.
create function resume_queue(name text) returns void
language plpgsql set search_path from current
as $$
begin
    update queues q set paused_at = null, pause_reason = null, updated_at = now()
    where q.name = resume_queue.name and q.paused_at is not null;
    if found then
        perform record_event('resumed', null, resume_queue.name);
        perform wake(array[resume_queue.name]);
    elsif not exists (select from queues q where q.name = resume_queue.name) then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no queue %s', to_json(resume_queue.name));
    end if;
end
$$;
comment on function resume_queue is 'Lets jobs of a paused queue be claimed again.';
-- +goose StatementEnd

-- +goose StatementBegin
-- retire_worker(worker_id): takes a worker off the register at the end of its life. What it still holds
-- becomes ready again (as after a crash). Unknown workers are ignored.
create function retire_worker(worker_id bigint) returns void
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform pg_advisory_xact_lock(advisory_key('worker/' || retire_worker.worker_id));
    update workers set dead_at = clock_timestamp() where id = retire_worker.worker_id and dead_at is null;
    while rescue_worker(retire_worker.worker_id, 1000) > 0 loop
    end loop;
end
$$;
comment on function retire_worker is 'Takes a worker off the register.';
-- +goose StatementEnd

-- +goose StatementBegin
-- retry(job_ids): runs jobs again now: finished ones, whatever their state, with at least one attempt more,
-- and scheduled ones without waiting for their time. Attempts go on counting.
-- Outcome per job: ready (also when it was already), running, not_found.
create function retry(job_ids bigint[]) returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone record;
    moved bigint[];
begin
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by p.place loop
            if found_at.place in ('ready', 'running', 'not_found') then
                return query select id, found_at.place from unnest(found_at.ids) id;
                continue;
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
                continue;
            elsif found_at.place = 'scheduled' then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw(found_at.ids) w;
            else
                with locked as materialized (
                    select f.job_id from results f where f.job_id = any(found_at.ids) order by f.job_id for update
                ), reopened as (
                    delete from results f using locked l where f.job_id = l.job_id
                    returning f.job_id, f.attempt, f.queue
                ), extended as (
                    update jobs j
                    set max_attempts = greatest(coalesce(j.max_attempts, s.max_attempts), r.attempt + 1), expires_at = null
                    from reopened r, settings_of(r.queue) s
                    where j.id = r.job_id
                )
                select coalesce(array_agg(r.job_id order by r.job_id), '{}') as ids,
                       array_agg(r.attempt order by r.job_id) as attempts
                into gone from reopened r;
            end if;
            perform put_ready(gone.ids, gone.attempts);
            perform record_event('retry_requested', j.id, j.queue) from jobs j where j.id = any(gone.ids);
            return query select id, 'ready' from unnest(gone.ids) id;
            moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
        end loop;
        if moved = '{}' then
            return;
        end if;
        pending := moved;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function retry is 'Runs jobs again now.';
-- +goose StatementEnd

-- +goose StatementBegin
-- set_queue(name, settings): sets what the object names and leaves the rest; null puts a setting back to the
-- default, the setting of queue '*'. Creates the queue. Settings: max_depth, warn_depth, max_args_bytes,
-- max_attempts, timeout, backoff, keep_completed, keep_failed, keep_cancelled, keep_expired (intervals),
-- events (none, changes, all).
--
--   select pgq.set_queue('mail', '{"max_depth": 10000, "keep_completed": "7 days"}');
--
-- Raises PQ001 for an unknown setting or a value that breaks a rule.
create function set_queue(name text, settings jsonb) returns void
language plpgsql set search_path from current
as $$
declare
    current queues;
    entry record;
    broken_rule text;
begin
    if set_queue.name is null or length(set_queue.name) not between 1 and 128 then
        perform invalid('queue', 'must have 1 to 128 characters');
    elsif jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    end if;
    for entry in select key, value from jsonb_each(settings) loop
        if entry.key not in ('max_depth', 'warn_depth', 'max_args_bytes', 'max_attempts', 'timeout', 'backoff',
                             'keep_completed', 'keep_failed', 'keep_cancelled', 'keep_expired', 'events') then
            perform invalid(entry.key, 'is not a setting of a queue');
        elsif entry.key = 'backoff' and backoff_problem(nullif(entry.value, 'null')) is not null then
            perform invalid('backoff', backoff_problem(entry.value));
        end if;
    end loop;
    insert into queues (name) select set_queue.name where set_queue.name <> '*' on conflict do nothing;
    select * into current from queues q where q.name = set_queue.name for update;
    for entry in select key, nullif(value, 'null') as value from jsonb_each(settings) loop
        begin
            current := jsonb_populate_record(current, jsonb_build_object(entry.key, entry.value));
            update queues q
            set (max_depth, warn_depth, max_args_bytes, max_attempts, timeout, backoff, keep_completed, keep_failed,
                 keep_cancelled, keep_expired, events, updated_at)
              = (current.max_depth, current.warn_depth, current.max_args_bytes, current.max_attempts, current.timeout,
                 current.backoff, current.keep_completed, current.keep_failed, current.keep_cancelled,
                 current.keep_expired, current.events, now())
            where q.name = set_queue.name;
        exception
            when check_violation then
                get stacked diagnostics broken_rule = constraint_name;
                perform invalid(entry.key, format('breaks the rule %s', broken_rule));
            when data_exception then
                perform invalid(entry.key, format('has a value that cannot be read: %s', sqlerrm));
        end;
    end loop;
end
$$;
comment on function set_queue is 'Sets settings of a queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- settings_of(queue_name): the settings in force for a queue: its own, else those of '*'.
-- One row always. Internal: without a search_path of its own, so that it can be inlined.
create function settings_of(queue_name text)
returns table (
    paused boolean, max_depth bigint, warn_depth bigint, max_args_bytes bigint, max_attempts integer,
    timeout interval, backoff jsonb, keep_completed interval, keep_failed interval,
    keep_cancelled interval, keep_expired interval, events text)
language sql stable
as $$
    select q.paused_at is not null,
           coalesce(q.max_depth, d.max_depth),
           coalesce(q.warn_depth, d.warn_depth),
           coalesce(q.max_args_bytes, d.max_args_bytes),
           coalesce(q.max_attempts, d.max_attempts),
           coalesce(q.timeout, d.timeout),
           coalesce(q.backoff, d.backoff),
           coalesce(q.keep_completed, d.keep_completed),
           coalesce(q.keep_failed, d.keep_failed),
           coalesce(q.keep_cancelled, d.keep_cancelled),
           coalesce(q.keep_expired, d.keep_expired),
           coalesce(q.events, d.events)
    from queues d
    left join queues q on q.name = queue_name
    where d.name = '*'
$$;
comment on function settings_of is 'Settings in force for a queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- settle(job_ids, queue_names, attempts, new_state, reason): writes how jobs ended that never ran again
-- after their last place (ready or scheduled) was taken from them by the caller in the same transaction.
-- Internal: cancel and expire.
create function settle(job_ids bigint[], queue_names text[], attempts integer[], new_state text, reason text)
returns void
language plpgsql
as $$
begin
    insert into results (job_id, queue, state, attempt, expires_at, error)
    select u.id, u.queue, new_state, u.attempt, now() + j.result_ttl, reason
    from unnest(job_ids, queue_names, attempts) u(id, queue, attempt)
    cross join lateral (select * from jobs where jobs.id = u.id offset 0) j
    order by u.id;
    perform record_event(new_state, u.id, u.queue, u.attempt, null, jsonb_strip_nulls(jsonb_build_object('error', reason)))
    from unnest(job_ids, queue_names, attempts) u(id, queue, attempt);
end
$$;
comment on function settle is 'Writes how jobs ended that were waiting.';
-- +goose StatementEnd

-- +goose StatementBegin
-- sleep_gate(queue_name): the keys of the advisory locks that a worker that sleeps on a queue holds, shared, on
-- its LISTEN connection. Sixteen: an enqueuer tries one of them alone, for a microsecond, and would take
-- another enqueuer that does so at the same moment for a sleeper. See wake.
create function sleep_gate(queue_name text) returns bigint[]
language sql stable set search_path from current
as $$ select array(select advisory_key('sleep/' || queue_name) + shard from generate_series(0, 15) shard) $$;
comment on function sleep_gate is 'Advisory locks of workers that sleep on a queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- snooze(worker_id, job_ids, attempts, delays): puts jobs that the worker holds off until later. The attempt
-- does not count. Raises PQ001 for a delay that is missing or negative. Returns as fail does.
create function snooze(worker_id bigint, job_ids bigint[], attempts integer[], delays interval[])
returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    if exists (select from unnest(job_ids, delays) u(id, delay) where delay is null or delay < interval '0') then
        perform invalid('delay', 'must not be negative');
    end if;
    return query
        select * from end_attempts(snooze.worker_id, job_ids, attempts,
            array_fill('snooze'::text, array[cardinality(job_ids)]), delays, null, null);
end
$$;
comment on function snooze is 'Puts jobs that a worker holds off until later.';
-- +goose StatementEnd

-- +goose StatementBegin
-- subscribe(subscriber_id, alive_for): registers a reader of the event stream (null: a new one), or says that it
-- lives. From then on every verb writes its events. Returns its id and the id of the newest event.
create function subscribe(subscriber_id bigint default null, alive_for interval default '30 s')
returns table (id bigint, last_event_id bigint)
language plpgsql set search_path from current
as $$
#variable_conflict use_column
declare
    reader bigint;
begin
    update subscribers s set alive_until = clock_timestamp() + alive_for
    where s.id = subscriber_id
    returning s.id into reader;
    if not found then
        insert into subscribers (alive_until) values (clock_timestamp() + alive_for)
        returning subscribers.id into reader;
    end if;
    return query select reader, coalesce((select max(e.id) from events e), 0);
end
$$;
comment on function subscribe is 'Registers a reader of the event stream.';
-- +goose StatementEnd

-- +goose StatementBegin
-- too_busy(job_ids): raises PQ006: jobs moved each time they were looked at. Internal.
create function too_busy(job_ids bigint[]) returns void
language plpgsql
as $$
begin
    raise exception using
        errcode = 'PQ006',
        message = format('jobs %s move faster than they can be changed', array_to_string(job_ids[1:10], ', ')),
        hint = 'Try again.';
end
$$;
comment on function too_busy is 'Raises PQ006: jobs move faster than they can be changed.';
-- +goose StatementEnd

-- +goose StatementBegin
-- unknown_kinds(queue_names): kinds of jobs at the heads of queues that no living worker of these queues knows, so
-- that they stay ready. Looks at the first 1,000 rows of each queue.
create function unknown_kinds(queue_names text[]) returns table (queue text, kind text)
language sql stable set search_path from current
set jit = off set enable_seqscan = off
as $$
    select distinct h.queue, h.kind
    from unnest(queue_names) q(name)
    cross join lateral (
        select r.queue, r.kind from ready r where r.queue = q.name
        order by r.priority, r.seq limit 1000) h
    where not exists (
        select from workers w
        where w.dead_at is null and h.queue = any(w.queues) and h.kind = any(w.kinds))
$$;
comment on function unknown_kinds is 'Kinds of waiting jobs that no living worker knows.';
-- +goose StatementEnd

-- +goose StatementBegin
-- unsubscribe(subscriber_id): takes a reader of the event stream off the register.
create function unsubscribe(subscriber_id bigint) returns void
language sql set search_path from current
as $$ delete from subscribers where id = subscriber_id $$;
comment on function unsubscribe is 'Takes a reader of the event stream off the register.';
-- +goose StatementEnd

-- +goose StatementBegin
-- wake(queue_names): wakes the workers that sleep on these queues, once the transaction commits.
-- A sleeping worker holds the advisory locks of the queue's sleep_gate, shared, on its LISTEN connection. Nobody
-- holds the one that is tried: nobody sleeps, and no NOTIFY is sent, since NOTIFY makes commits wait for each other.
-- A transaction that looks before a worker falls asleep and commits afterwards is found by that
-- worker's re-checks (worker/wake.go).
create function wake(queue_names text[]) returns void
language plpgsql
as $$
declare
    name text;
    gate bigint;
    free boolean;
begin
    foreach name in array queue_names loop
        gate := advisory_key('sleep/' || name) + pg_backend_pid() % 16;
        free := pg_try_advisory_lock(gate);
        if free then
            free := pg_advisory_unlock(gate); -- an assignment is quicker than perform
        else
            perform pg_notify(channel(), 'wake ' || name);
        end if;
    end loop;
end
$$;
comment on function wake is 'Wakes workers that sleep on these queues.';
-- +goose StatementEnd

-- +goose StatementBegin
-- walk_completed(at_most): ids of completed jobs that were kept long enough. Internal: prune.
-- They have no index by time, which every completed job would pay for. Jobs complete more or less in the order of
-- their ids, so a walk along the ids from where the last one stopped (chores.position) finds what is due. It
-- stops at the first batch in which nothing is old enough for any queue. Once an hour it starts over, for jobs
-- that completed out of order; what lies before has mostly been deleted by then.
create function walk_completed(at_most integer) returns bigint[]
language plpgsql
as $$
declare
    shortest constant interval := (select min(keep_completed) from queues);
    start bigint;
    anew boolean;
    batch record;
    due bigint[] := '{}';
begin
    select case when last_run_at < now() - interval '1 hour' then 0 else position end,
           last_run_at < now() - interval '1 hour'
    into start, anew
    from chores where name = 'sweep' for update;
    for round in 1 .. 20 loop
        select coalesce(array_agg(w.job_id) filter (where w.is_due), '{}') as due,
               max(w.job_id) filter (where w.is_old) as last_old,
               min(w.job_id) filter (where not w.is_old) as first_young,
               max(w.job_id) as last
        into batch
        from (
            select f.job_id,
                   f.finished_at < now() - shortest as is_old,
                   f.finished_at < now() - s.keep_completed as is_due
            from (select * from results
                  where job_id > start and state = 'completed' and expires_at is null
                  order by job_id limit at_most) f,
                 settings_of(f.queue) s) w;
        due := due || batch.due;
        exit when batch.last_old is null;
        -- Young ones at the end are the frontier: stay before them. Elsewhere they are out of order.
        start := case when batch.first_young > batch.last_old then batch.first_young - 1 else batch.last end;
        exit when cardinality(due) >= at_most or batch.first_young > batch.last_old;
    end loop;
    update chores
    set position = start, last_run_at = case when anew then now() else last_run_at end
    where name = 'sweep';
    return due;
end
$$;
comment on function walk_completed is 'Completed jobs that were kept long enough.';
-- +goose StatementEnd

-- +goose StatementBegin
-- wants_event(queue_name, change): whether an event of this queue is to be written. Change: it says
-- more than that the job went its usual way (retried, failed, cancelled …).
create function wants_event(queue_name text, change boolean) returns boolean
language plpgsql stable
as $$
begin
    return exists (select from subscribers where alive_until > now())
        or (select case s.events when 'all' then true when 'changes' then change else false end
            from settings_of(queue_name) s);
end
$$;
comment on function wants_event is 'Whether an event of a queue is to be written.';
-- +goose StatementEnd

-- +goose StatementBegin
-- withdraw(job_ids, unstarted_only): takes jobs out of ready and scheduled; those that were there and their
-- attempts so far. The caller puts them somewhere else in the same transaction. Internal.
-- A job may be missed when somebody splits its run at the same moment: callers look again.
-- The lateral look-ups with "offset 0" keep the planner from walking whole indexes of tables it takes for small.
-- Locks: rows of scheduled by job, then rows of ready by key; waits for others.
create function withdraw(job_ids bigint[], unstarted_only boolean default false)
returns table (job_id bigint, queue text, priority smallint, kind text, attempt integer)
language plpgsql
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    return query
        with locked as materialized (
            select s.job_id from scheduled s
            where s.job_id = any(job_ids) and (s.attempt = 0 or not unstarted_only)
            order by s.job_id
            for update
        ), taken as (
            delete from scheduled s using locked l where s.job_id = l.job_id
            returning s.job_id, s.attempt
        )
        select t.job_id, j.queue, j.priority, j.kind, t.attempt
        from taken t cross join lateral (select * from jobs where jobs.id = t.job_id offset 0) j;
    return query
        with wanted as materialized (
            select j.id, j.queue, j.priority from jobs j where j.id = any(job_ids)
        ), hit as materialized (
            select distinct r.queue, r.priority, r.seq
            from wanted w
            cross join lateral (
                select * from ready r
                where r.queue = w.queue and r.priority = w.priority and r.seq <= w.id
                order by r.seq desc limit 1) r
            where r.seq = r.job_id and w.id < r.job_id + r.size
            union
            select r.queue, r.priority, r.seq from ready r
            where r.job_id = any(job_ids) and r.seq <> r.job_id and (r.attempt = 0 or not unstarted_only)
        ), locked as materialized (
            select r.tid
            from (select * from hit order by queue, priority, seq) h
            cross join lateral (
                select x.ctid as tid from ready x
                where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq
                offset 0
                for update) r
        ), removed as (
            delete from ready r
            where r.ctid = any(array(select tid from locked))
            returning r.*
        ), members as materialized (
            select m.queue, m.priority, m.kind, m.attempt, m.seq + g as seq, m.job_id + g as id,
                   m.job_id + g = any(job_ids) as is_wanted
            from removed m
            cross join lateral generate_series(0, m.size - 1) g
        ), islands as (
            select *, seq - row_number() over (partition by queue, priority, kind order by seq) as island
            from members
            where not is_wanted
        ), rest as (
            insert into ready (queue, priority, seq, job_id, size, attempt, kind)
            select queue, priority, min(seq), min(id), count(*), min(attempt), kind
            from islands
            group by queue, priority, kind, island
        )
        select id, queue, priority, kind, attempt from members where is_wanted;
end
$$;
comment on function withdraw is 'Takes jobs out of ready and scheduled.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_states: one row per job with its state: scheduled, ready, running, or how it ended (completed, failed,
-- cancelled, skipped, expired). A stable contract for SELECT; by id it costs a handful of index look-ups.
-- attempt counts the attempts so far, the running one included. Locks nothing.
create view job_states as
select j.id,
       j.queue,
       j.kind,
       j.priority,
       case
           when f.job_id is not null then f.state
           when r.job_id is not null then 'running'
           when s.job_id is not null then 'scheduled'
           when a.job_id is not null or n.job_id is not null then 'ready'
           else 'lost'
       end as state,
       coalesce(f.attempt, r.attempt, s.attempt, a.attempt, 0) as attempt,
       j.max_attempts,
       j.created_at,
       s.run_at,
       coalesce(f.claimed_at, r.claimed_at) as claimed_at,
       f.finished_at,
       coalesce(f.worker_id, r.worker_id) as worker_id,
       r.cancel_requested_at,
       j.expires_at,
       j.timeout,
       j.tags,
       j.metadata,
       f.error
from jobs j
left join results f on f.job_id = j.id
left join running r on r.job_id = j.id
left join scheduled s on s.job_id = j.id
left join ready a on a.job_id = j.id and a.seq <> a.job_id
left join lateral (
    select run.job_id, run.size
    from ready run
    where run.queue = j.queue and run.priority = j.priority and run.seq <= j.id
    order by run.seq desc
    limit 1) n on n.job_id <= j.id and j.id < n.job_id + n.size;
comment on view job_states is 'One row per job with its state.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_details: what job_states says, with what was asked (args or payload), what came of it (output or
-- output_payload) and how far it is (progress). Wide: meant for looking at jobs by id.
create view job_details as
select s.*, j.args, j.codec, j.payload, j.backoff, j.result_ttl,
       f.output, f.codec as output_codec, f.payload as output_payload,
       p.done as progress_done, p.total as progress_total
from job_states s
join jobs j on j.id = s.id
left join results f on f.job_id = s.id
left join progress p on p.job_id = s.id;
comment on view job_details is 'job_states with args, output and progress.';
-- +goose StatementEnd

-- +goose StatementBegin
-- get_jobs(job_ids): all that is known of jobs, newest first; those that do not exist are left out.
-- What the view job_details says, with a plan that is made once per session.
create function get_jobs(job_ids bigint[]) returns setof job_details
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query select d.* from job_details d where d.id = any(job_ids) order by d.id desc;
end
$$;
comment on function get_jobs is 'All that is known of jobs.';
-- +goose StatementEnd

-- +goose Down
drop function get_jobs;
drop view job_details;
drop view job_states;
drop function withdraw;
drop function wants_event;
drop function walk_completed;
drop function wake;
drop function unsubscribe;
drop function unknown_kinds;
drop function too_busy;
drop function subscribe;
drop function snooze;
drop function sleep_gate;
drop function settle;
drop function settings_of;
drop function set_queue;
drop function retry;
drop function retire_worker;
drop function resume_queue;
drop function rescue_worker;
drop function rescue;
drop function reschedule;
drop function report_progress;
drop function release;
drop function register_worker;
drop function record_event;
drop function read_events;
drop function queue_settings;
drop function queue_names;
drop function queue_depth;
drop function put_ready;
drop function prune;
drop function promote_due;
drop function promote;
drop function places;
drop function pause_queue;
drop function notify_subscribers;
drop function max_run_size;
drop function list_jobs;
drop function jobs_from_json;
drop function job_problem;
drop function job_history;
drop function invalid;
drop function heartbeat;
drop function give_up;
drop function forget;
drop function fail;
drop function expire;
drop function events_wanted;
drop function event_channel;
drop function enqueue_reserve;
drop function enqueue_one;
drop function enqueue_many;
drop function enqueue;
drop function end_attempts;
drop function do_chores;
drop function disown;
drop function delete;
drop function counts;
drop function complete;
drop function claim;
drop function chore_is_due;
drop function check_limits;
drop function check_json_types;
drop function check_jobs_json;
drop function check_invariants;
drop function check_depth;
drop function channel;
drop function cancel;
drop function backoff_problem;
drop function backoff_delay;
drop function announce;
drop function advisory_key;
drop function add_logs;
