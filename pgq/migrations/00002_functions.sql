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
-- answer_node(job_id, output, error): ends an external or sleeping node with its answer, or with an error. Internal.
-- Outcome: completed, failed, early (it is not reached yet: the answer is kept until then), finished (nothing was done).
-- Locks: its row of waiting.
create function answer_node(job_id bigint, output jsonb, error text) returns text
language plpgsql
as $$
#variable_conflict use_column
declare
    node record;
    outcome constant text := case when answer_node.error is null then 'completed' else 'failed' end;
begin
    select w.job_id, w.role, w.queue into node from waiting w where w.job_id = answer_node.job_id for update;
    if not found then
        return 'finished';
    elsif node.role <> 'signal' then
        insert into signals (job_id, output, error) values (answer_node.job_id, answer_node.output, answer_node.error)
        on conflict do nothing;
        return case when found then 'early' else 'finished' end;
    end if;
    delete from waiting w where w.job_id = answer_node.job_id;
    insert into results (job_id, queue, state, attempt, expires_at, output, error, dag_id)
    select j.id, j.queue, outcome, 0, now() + j.result_ttl, answer_node.output, answer_node.error, j.dag_id
    from jobs j where j.id = answer_node.job_id;
    perform record_event(outcome, answer_node.job_id, node.queue, 0, null,
                         jsonb_strip_nulls(jsonb_build_object('error', answer_node.error)));
    perform doom_dags(array[answer_node.job_id]);
    perform propagate(array[answer_node.job_id]);
    return outcome;
end
$$;
comment on function answer_node is 'Ends an external or sleeping node.';
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
-- begin_map(job_id): the source of a map is there: the map now waits for one job per item. True if it is finished at
-- once: because there are no items, or because what it was to map over is no result in JSON.
-- Internal: decide, which holds its row of waiting.
create function begin_map(job_id bigint) returns boolean
language plpgsql
as $$
#variable_conflict use_column
declare
    node record;
    source record;
    total integer;
    problem text;
begin
    select id, queue, name, spec, dag_id, result_ttl into node from jobs where id = begin_map.job_id;
    select j.id, f.output into source
    from jobs j left join results f on f.job_id = j.id
    where j.dag_id = node.dag_id and j.name = node.spec ->> 'over';
    begin
        total := jsonb_array_length(jsonb_path_query_array(source.output, (node.spec ->> 'path')::jsonpath));
    exception when others then
        problem := format('items of %s: %s', node.spec ->> 'over', sqlerrm);
    end;
    if total is null then
        problem := coalesce(problem, format('%s has no result in JSON', node.spec ->> 'over'));
    end if;
    if problem is not null or total = 0 then
        delete from waiting w where w.job_id = begin_map.job_id;
        insert into results (job_id, queue, state, attempt, expires_at, output, error, dag_id)
        values (node.id, node.queue, case when problem is null then 'completed' else 'failed' end, 0, now() + node.result_ttl,
                case when problem is null then '{"items": 0, "failed": 0}'::jsonb end, problem, node.dag_id);
        return true;
    end if;
    insert into maps (job_id, source_id, total) values (node.id, source.id, total);
    update waiting w
    set role = 'items', pending = total, ok = 0, failed = 0, skipped = 0, cause_id = null,
        need_ok = 0, need_failed = 0, max_skipped = 2147483647, eager = false,
        max_failed = floor(total * coalesce((node.spec ->> 'tolerate')::numeric, 0) / 100)
    where w.job_id = begin_map.job_id;
    perform expand_map(node.id);
    return false;
end
$$;
comment on function begin_map is 'Lets a map wait for a job per item of its source.';
-- +goose StatementEnd

-- +goose StatementBegin
-- cancel(job_ids, reason): cancels jobs. Outcome per job: cancelled (it waited and is finished now), requested
-- (it runs: its worker is told to stop it; it ends as cancelled unless it completes first), finished
-- (nothing to cancel), not_found. A DAG, a sub-DAG and a map are cancelled with all their nodes; requested means that
-- some of these run. The children of a cancelled job take it as a failure.
-- Locks: the DAGs; rows of waiting by job, what withdraw locks, then rows of running in the order of their ids. Never undone half-way:
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
    groups bigint[];
begin
    perform lock_dags(job_ids);
    groups := array(select j.id from jobs j where j.id = any(job_ids) and j.role in ('dag', 'map') order by j.id);
    if groups <> '{}' then
        perform end_dags(groups, 'cancelled', coalesce(reason, 'cancelled'));
        pending := array(select id from unnest(pending) id union select m from members_of(groups) m);
    end if;
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by p.place <> 'waiting', p.place loop
            if found_at.place in ('ready', 'scheduled') then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw(found_at.ids) w;
                perform settle(gone.ids, gone.queues, gone.attempts, 'cancelled', coalesce(reason, 'cancelled'));
                return query select id, 'cancelled' from unnest(gone.ids) id where id = any(job_ids);
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'waiting' then
                perform keep_waited(found_at.ids);
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw_waiting(found_at.ids) w;
                perform settle(gone.ids, gone.queues, gone.attempts, 'cancelled', coalesce(reason, 'cancelled'));
                return query select id, 'cancelled' from unnest(gone.ids) id where id = any(job_ids);
                moved := moved || array(
                    select unnest(found_at.ids) except select unnest(gone.ids)
                    except select w.job_id from waiting w where w.job_id = any(found_at.ids) and w.role in ('dag', 'items'));
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
                return query select id, 'requested' from unnest(gone.ids) id where id = any(job_ids);
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
            else
                return query
                    select id, case found_at.place when 'not_found' then 'not_found' else 'finished' end
                    from unnest(found_at.ids) id
                    where id = any(job_ids) and id <> all(groups);
            end if;
        end loop;
        if moved = '{}' then
            return query
                select id, case
                    when w.job_id is not null then 'requested'
                    when f.finished_at < now() then 'finished'
                    else 'cancelled' end
                from unnest(groups) id
                left join waiting w on w.job_id = id
                left join results f on f.job_id = id
                where f.finished_at is not null or w.role in ('dag', 'items');
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
-- cancel_all(job_ids, reason): cancel, without its answer. Internal.
create function cancel_all(job_ids bigint[], reason text) returns void
language plpgsql
as $$
begin
    perform from cancel(job_ids, reason);
end
$$;
comment on function cancel_all is 'Cancels jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- carry_out(starting, others, verdicts, maps): does what was judged of waiting jobs: starts those that a handler is to run,
-- decides the others, and goes on with maps of which items are done. Internal: the caller has locked their rows.
-- Returns the jobs that are finished by it: their children are next.
create function carry_out(starting bigint[], others bigint[], verdicts text[], maps bigint[]) returns bigint[]
language plpgsql
as $$
begin
    if maps is not null then
        perform release_items(id) from unnest(maps) id;
    end if;
    if starting is not null then
        perform start_nodes(starting);
    end if;
    if others is null then
        return '{}';
    end if;
    return decide(others, verdicts);
end
$$;
comment on function carry_out is 'Does what was judged of waiting jobs.';
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
        union all select w.job_id, 'waiting' from waiting w
        union all select s.job_id, 'scheduled' from scheduled s
        union all select r.job_id, 'running' from running r
        union all select f.job_id, 'results' from results f
    ), crowded as (
        select id, string_agg(place, ', ' order by place) as places from members group by id having count(*) > 1
    )
    select 'a job is in at most one of waiting, ready, scheduled, running and results', c.id, c.places from crowded c
    union all
    select 'a job is in at least one of waiting, ready, scheduled, running and results', j.id, null
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
    select 'a row of waiting, scheduled, running or results says the queue of its job', j.id, m.queue
    from (select s.job_id, s.queue from scheduled s union all select w.job_id, w.queue from waiting w union all select r.job_id, r.queue from running r
          union all select f.job_id, f.queue from results f) m
    join jobs j on j.id = m.job_id
    where m.queue <> j.queue
    union all
    select 'a failed job had no attempts left or was failed for good', f.job_id, null
    from results f join jobs j on j.id = f.job_id
    where f.state = 'failed' and f.attempt < 1 and j.role is null
    union all
    select 'a lease belongs to a registered worker', r.job_id, r.worker_id::text
    from running r
    where not exists (select from workers w where w.id = r.worker_id)
    union all
    select 'an entry of expiries belongs to a job with that time to live', e.job_id, e.expires_at::text
    from expiries e
    where not exists (select from jobs j where j.id = e.job_id and (j.expires_at is null or j.expires_at = e.expires_at or j.role = 'dag'))
    union all
    select 'progress and logs belong to jobs', p.job_id, null
    from (select p.job_id from progress p union select l.job_id from logs l) p
    where not exists (select from jobs j where j.id = p.job_id)
    union all
    select 'the sequence of ids is ahead of every id and seq', max(m.n), null
    from (select max(id) as n from jobs union all select max(seq + size - 1) from ready) m
    having max(m.n) > (select coalesce(pg_sequence_last_value('jobs_id_seq'), 0))
    union all
    select 'a completed job that a handler runs had an attempt', f.job_id, null
    from results f join jobs j on j.id = f.job_id
    where f.state = 'completed' and f.attempt < 1 and j.role is null and j.dag_id is null
    union all
    select 'a waiting job has as many pending parents as the edges say', w.job_id,
           format('%s pending, but %s', w.pending, coalesce(n.pending, 0))
    from waiting w
    left join maps m on m.job_id = w.job_id
    left join lateral (
        select count(*) filter (
                   where f.job_id is null
                      or exists (select from frontier u where u.parent_id = e.parent_id
                                 and e.child_id between u.first_child and u.last_child)) as pending
        from edges e left join results f on f.job_id = e.parent_id
        where e.child_id = w.job_id and (w.role is distinct from 'items' or is_item(e.parent_id, w.job_id))) n on true
    where w.pending <> case
        when w.role = 'signal' then 1
        when w.role = 'items' then n.pending + m.total - m.expanded
        when exists (select from jobs j where j.id = w.job_id and j.spec ? 'map') then least(w.pending, 1)
        else n.pending end
    union all
    select 'a waiting job that can be decided is decided', w.job_id, null
    from waiting w
    where node_verdict(w.pending, w.ok, w.failed, w.skipped, w.need_ok, w.need_failed, w.max_failed, w.max_skipped,
                       w.eager, w.held and coalesce(w.role, '') not in ('dag', 'items')) is not null
    union all
    select 'nothing of a DAG that has ended is alive', m.id, s.place
    from results f
    join jobs d on d.id = f.job_id and d.role = 'dag'
    join jobs m on m.dag_id = d.id
    join members s on s.id = m.id and s.place <> 'results'
    union all
    select 'the results of nodes and leases on them name their DAG', j.id, null
    from (select f.job_id, f.dag_id from results f union all select r.job_id, r.dag_id from running r) f
    join jobs j on j.id = f.job_id
    where f.dag_id is distinct from j.dag_id
    union all
    select 'an edge joins two jobs', e.child_id, e.parent_id::text
    from edges e
    where not exists (select from jobs j where j.id = e.parent_id) or not exists (select from jobs j where j.id = e.child_id)
    union all
    select 'the frontier holds finished jobs and maps', u.parent_id, null
    from frontier u
    where not exists (select from results f where f.job_id = u.parent_id)
      and not exists (select from maps m where m.job_id = u.parent_id)
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
-- +goose StatementEnd

-- +goose StatementBegin
-- complete(worker_id, job_ids, attempts, outputs, codecs, payloads): completes attempts that the worker holds;
-- outputs (JSON) or codecs and payloads (bytes) are their results. Returns the ids that were completed.
-- A missing id: its lease is lost (another worker has it, or it is finished); nothing was changed for it.
-- Children of the jobs are told in statements of their own, whose snapshots see what was added meanwhile.
-- Locks: rows of running in the order of their ids; then what propagate locks.
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
    done bigint[];
begin
    select array_agg(u.id order by u.id), array_agg(u.attempt order by u.id),
           case when coalesce(outputs, '{}') <> '{}' or coalesce(payloads, '{}') <> '{}'
               then array_agg(u.place::integer order by u.id) end
    into ids, numbers, places
    from unnest(job_ids, attempts) with ordinality u(id, attempt, place)
    where u.id is not null;
    -- By "= any", without bitmaps, the rows are found by their keys and locked in the order of them; a join might
    -- walk all of running, dead rows included.
    with ended as (
        delete from running r
        where r.job_id = any(ids)
          and r.worker_id = complete.worker_id
          and r.attempt = numbers[width_bucket(r.job_id, ids)]
        returning r.job_id, r.queue, r.attempt, r.claimed_at, r.result_ttl, r.dag_id,
                  places[width_bucket(r.job_id, ids)] as place
    ), told as (
        insert into events (job_id, queue, type, attempt, worker_id)
        select job_id, queue, 'completed', attempt, complete.worker_id from ended
        where loud and wants_event(queue, false)
    ), added as (
        insert into results (job_id, queue, state, attempt, worker_id, claimed_at, finished_at, expires_at, codec, payload, output, dag_id)
        select job_id, queue, 'completed', attempt, complete.worker_id, claimed_at, now, now + result_ttl,
               codecs[place], payloads[place], outputs[place], dag_id
        from ended
        returning job_id
    )
    select coalesce(array_agg(job_id), '{}') into done from added;
    -- One look at the range of the ids mostly says that none of them has children.
    if exists (select from edges e where e.parent_id between ids[1] and ids[cardinality(ids)])
       and exists (select from edges e where e.parent_id = any(done)) then
        perform propagate(done);
    end if;
    if loud then
        perform notify_subscribers();
    end if;
    return query select unnest(done);
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
    waiting_scale constant double precision := greatest(1, pg_relation_size('waiting') / 8192 / pages);
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
            select w.queue, 'waiting', count(*) * waiting_scale, waiting_scale = 1
            from waiting w tablesample system (100 / waiting_scale) group by 1
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
                                where f.queue = n.queue and f.state = t.state and f.state <> 'completed' and f.dag_id is null
                                union all
                                select from results f
                                where f.queue = n.queue and f.state = t.state and f.state <> 'completed' and f.dag_id is not null
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
-- dag_add(dag_id, nodes): adds the nodes of a JSON array to a DAG, with their edges, and puts all of them into waiting.
-- The array has no problems (dag_problems). Returns the ids of the nodes in their order, then those of hidden gates.
-- Internal: dag_submit and dag_extend. The parents outside of the array are kept where they are (pin) and counted.
create function dag_add(dag_id bigint, nodes jsonb) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    outer_ids bigint[];
    missing bigint[];
    ids bigint[];
begin
    outer_ids := array(select distinct (id #>> '{}')::bigint from jsonb_path_query(nodes, '$[*].after[*].job') id);
    if exists (select from jobs j where j.dag_id = dag_add.dag_id) then
        outer_ids := outer_ids || array(
            select distinct j.id
            from jsonb_array_elements(nodes) n,
                 jsonb_array_elements(coalesce(n -> 'after', '[]') || jsonb_build_array(n -> 'over')) a
            cross join lateral (
                select id from jobs
                where dag_id = dag_add.dag_id and name = coalesce(a ->> 'node', a #>> '{}') offset 0) j
            union
            select g.id
            from (select distinct scope_of(n ->> 'name') as scope from jsonb_array_elements(nodes) n) s
            cross join lateral (
                select id from jobs where dag_id = dag_add.dag_id and name = s.scope || '/(start)' offset 0) g);
    end if;
    perform lock_dags(outer_ids);
    missing := array(select pin(outer_ids));
    if missing <> '{}' then
        perform invalid('after', format('must name existing jobs; job %s does not exist', missing[1]));
    end if;
    ids := dag_insert(dag_id, nodes);
    if outer_ids <> '{}' then
        perform recount(array(
            select distinct e.child_id from edges e where e.parent_id = any(outer_ids) and e.child_id = any(ids)));
    end if;
    return ids;
end
$$;
comment on function dag_add is 'Adds nodes to a DAG.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_answer(dag_id, node, output, error): ends an external or sleeping node by its name. Internal: dag_complete and dag_fail.
create function dag_answer(dag_id bigint, node text, output jsonb, error text) returns text
language plpgsql
as $$
#variable_conflict use_column
declare
    target record;
begin
    select j.id, j.role into target from jobs j where j.dag_id = dag_answer.dag_id and j.name = dag_answer.node;
    if not found then
        raise exception using errcode = 'PQ004',
            message = format('DAG %s has no node %s', dag_answer.dag_id, coalesce(to_json(dag_answer.node)::text, 'null'));
    elsif target.role is null or target.role not in ('external', 'sleep') then
        perform invalid('node', format('must be an external or sleeping one; %s is not', to_json(dag_answer.node)));
    end if;
    return answer_node(target.id, dag_answer.output, dag_answer.error);
end
$$;
comment on function dag_answer is 'Ends an external or sleeping node by its name.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_cancel(dag_id, nodes, downstream, reason): cancels a DAG, or only some nodes of it by their names or patterns ("*"), on
-- demand with all that comes after them. What depends on a cancelled node takes it as a failure.
-- Outcome per job that was named (the DAG's own job if none was), as of cancel: cancelled, requested, finished.
-- Raises PQ004 for an unknown DAG or node. Locks: as cancel.
create function dag_cancel(dag_id bigint, nodes text[] default null, downstream boolean default false, reason text default null)
returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform lock_dag(dag_id);
    if nodes is null then
        return query select c.job_id, c.outcome from cancel(array[dag_id], reason) c;
    elsif downstream then
        return query select c.job_id, c.outcome
                     from cancel(array(select d from dag_downstream(dag_named(dag_id, nodes)) d), reason) c;
    else
        return query select c.job_id, c.outcome from cancel(dag_named(dag_id, nodes), reason) c;
    end if;
end
$$;
comment on function dag_cancel is 'Cancels a DAG or nodes of it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_check_cycle(dag_id, from_nodes, new_nodes): raises PQ001 when one of these new nodes, which come before existing ones
-- (from_nodes), also comes after them. Internal: dag_extend.
create function dag_check_cycle(dag_id bigint, from_nodes bigint[], new_nodes bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    found_at record;
begin
    with recursive reached as (
        select id as root, id from unnest(from_nodes) id
        union
        select r.root, e.child_id from reached r join edges e on e.parent_id = r.id
    )
    select f.name as follower, n.name as node into found_at
    from reached r
    join edges e on e.parent_id = r.id and e.child_id = r.root
    join jobs f on f.id = r.root
    join jobs n on n.id = r.id
    where r.id = any(new_nodes)
    limit 1;
    if found then
        perform invalid('before', format('must not make a cycle: %s comes after %s', found_at.node, found_at.follower));
    end if;
end
$$;
comment on function dag_check_cycle is 'Refuses a cycle through new nodes.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_check_open(job_ids): raises PQ001 unless all of these nodes still wait for others, so that one more may come before
-- them. Internal: dag_extend, which has locked those that do.
create function dag_check_open(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    closed text;
begin
    select coalesce(j.name, 'the DAG') into closed
    from jobs j
    left join waiting w on w.job_id = j.id
    where j.id = any(job_ids)
      and (w.job_id is null or w.role in ('signal', 'items') or exists (select from jobs i where i.id = w.job_id and i.spec ? 'map'))
    order by j.id limit 1;
    if found then
        perform invalid('before', format('must name nodes that still wait for others; %s does not', to_json(closed)));
    end if;
end
$$;
comment on function dag_check_open is 'Refuses nodes that do not wait for others any more.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_complete(dag_id, node, output): answers an external node, or wakes a sleeping one. The first answer counts.
-- Outcome: completed; early (the node is not reached yet: the answer is kept until then); finished (too late).
-- Raises PQ004 for an unknown DAG or node, PQ001 for one that is not external. Locks: its row of waiting.
create function dag_complete(dag_id bigint, node text, output jsonb default null) returns text
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    return dag_answer(dag_id, node, output, null);
end
$$;
comment on function dag_complete is 'Answers an external node.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_critical_path(dag_id): the chain of nodes that determined when a DAG ended, or, while it is under way, when the node
-- ended that ended last; in order. Found by walking back from that node to the parent that ended last, and so on; of
-- parents of nodes that do not wait for all (any, at_least, one_failed) to the last one that ended before the node began.
-- waited: from the end of the one before, or the submission, to the start of the last attempt; ran: from there to
-- its end. Both together are the time of the whole chain; share is this node's part of it. What no worker
-- runs (answers, sleeps) ran all the time; hidden gates and sub-DAGs are passed over. A parent that is not of this DAG
-- ends the walk.
-- Zero rows: no node has ended. Raises PQ004 when there is no such DAG. Costs a look-up per edge into the chain; under
-- way, one per node besides. Locks nothing.
create function dag_critical_path(dag_id bigint)
returns table ("position" integer, name text, job_id bigint, waited interval, ran interval, share double precision)
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    root constant jobs := dag_graph_root(dag_critical_path.dag_id);
    chain bigint[] := '{}';
    current record;
begin
    if exists (select from results where job_id = root.id) then
        select root.id as id, root.id as dag_id, null::bigint as map, false as eager, null::timestamptz as began into current;
    else
        select j.id, root.id as dag_id, (j.spec ->> 'map')::bigint as map,
               coalesce(j.rule in ('any', 'at_least', 'one_failed'), false) as eager, f.began
        into current
        from (select id, rule, spec from jobs
              where dag_id = root.id and coalesce(role, '') not in ('gate', 'dag') offset 0) j
        cross join lateral (
            select finished_at, coalesce(claimed_at, finished_at) as began from results
            where job_id = j.id offset 0) f
        order by f.finished_at desc, j.id desc
        limit 1;
        chain := array_remove(array[current.id], null);
    end if;
    -- Clocks: a job may have been claimed in the transaction that completed its parent, which began before that; hence
    -- the tenth of a second.
    while current.id is not null loop
        select p.id, p.dag_id, p.map, p.eager, f.began
        into current
        from (select current.id as child, current.map as map) c
        cross join lateral (
            select parent_id from edges where child_id = coalesce(c.map, c.child) offset 0) e
        cross join lateral (
            select finished_at, coalesce(claimed_at, finished_at) as began from results
            where job_id = e.parent_id offset 0) f
        cross join lateral (
            select id, dag_id, (spec ->> 'map')::bigint as map,
                   coalesce(rule in ('any', 'at_least', 'one_failed'), false) as eager
            from jobs where id = e.parent_id offset 0) p(id, dag_id, map, eager)
        where c.map is null or p.map is distinct from c.map
        order by not current.eager or f.finished_at <= current.began + interval '0.1 s' desc,
                 f.finished_at desc, p.id desc
        limit 1;
        exit when current.id is null;
        chain := current.id || chain;
        exit when current.dag_id is distinct from root.id;
    end loop;
    return query
        with walked as (
            select u.place, j.id, j.role,
                   case when j.dag_id = root.id then j.name else 'job ' || j.id end as name,
                   f.claimed_at,
                   max(f.finished_at) over (order by u.place) as ended,
                   lag(j.spec ->> 'map') over (order by u.place) = j.id::text as after_item
            from unnest(chain) with ordinality u(id, place)
            join jobs j on j.id = u.id
            join results f on f.job_id = u.id
            where coalesce(j.role, '') not in ('gate', 'dag')
        ), shown as (
            select w.*, greatest(root.created_at, lag(w.ended) over (order by w.place)) as before
            from walked w
            where w.role is distinct from 'map' or w.after_item is not true
        ), timed as (
            select s.*, greatest(s.ended, s.before) as until,
                   least(greatest(s.ended, s.before), greatest(s.before, coalesce(
                       s.claimed_at, case when s.role in ('external', 'sleep', 'map') then s.before else s.ended end))) as began
            from shown s
        )
        select (row_number() over (order by t.place))::integer, t.name, t.id, t.began - t.before, t.until - t.began,
               coalesce(extract(epoch from t.until - t.before)
                        / nullif(extract(epoch from max(t.until) over () - root.created_at), 0), 0)::double precision
        from timed t
        order by t.place;
end
$$;
comment on function dag_critical_path is 'The chain of nodes that determined the time of a DAG.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_cycle(vertices, parents, children): cycles in a graph of the vertices 1..n with edges from parents[i] to children[i]:
-- of cycles that share vertices one, as its vertices in the direction of the edges. Internal.
-- No rows: there is none. Takes time in proportion to vertices and edges.
--
-- Vertices that wait for nothing are let go, and then what waited for them only (Kahn). Whatever is left has a
-- parent that is left, so a walk from parent to parent ends where it has been: in a cycle. Its vertices are let go, and
-- so on; the walk goes on from where it entered the cycle.
create function dag_cycle(vertices integer, parents integer[], children integer[]) returns setof integer[]
language plpgsql immutable
as $$
declare
    edges constant integer := cardinality(parents);
    pending integer[] := array_fill(0, array[vertices]); -- parents that are not let go; 0 or less: is let go itself
    first_out integer[] := pending; -- lists of edges: the first one by vertex, the next one by edge
    next_out integer[] := array_fill(0, array[edges]);
    first_in integer[] := pending;
    next_in integer[] := next_out;
    free integer[] := pending; -- vertices that are let go; those up to `told` have told their children
    freed integer := 0;
    told integer := 0;
    walk integer[] := pending;
    steps integer := 0;
    place integer[] := pending; -- in the walk
    start integer := 1;
    vertex integer;
    edge integer;
    cycle integer[];
begin
    for e in 1 .. edges loop
        next_out[e] := first_out[parents[e]];
        first_out[parents[e]] := e;
        pending[children[e]] := pending[children[e]] + 1;
    end loop;
    for v in 1 .. vertices loop
        if pending[v] = 0 then
            freed := freed + 1;
            free[freed] := v;
        end if;
    end loop;
    loop
        while told < freed loop
            told := told + 1;
            edge := first_out[free[told]];
            while edge > 0 loop
                vertex := children[edge];
                pending[vertex] := pending[vertex] - 1;
                if pending[vertex] = 0 then
                    freed := freed + 1;
                    free[freed] := vertex;
                end if;
                edge := next_out[edge];
            end loop;
        end loop;
        exit when freed = vertices;
        if cycle is null then
            for e in 1 .. edges loop
                next_in[e] := first_in[children[e]];
                first_in[children[e]] := e;
            end loop;
        end if;
        while steps > 0 and pending[walk[steps]] <= 0 loop
            steps := steps - 1;
        end loop;
        if steps = 0 then
            while pending[start] <= 0 loop
                start := start + 1;
            end loop;
            steps := 1;
            walk[1] := start;
            place[start] := 1;
        end if;
        loop
            edge := first_in[walk[steps]];
            while pending[parents[edge]] <= 0 loop
                edge := next_in[edge];
            end loop;
            first_in[walk[steps]] := edge;
            vertex := parents[edge];
            exit when place[vertex] > 0;
            steps := steps + 1;
            walk[steps] := vertex;
            place[vertex] := steps;
        end loop;
        cycle := '{}';
        for i in reverse steps .. place[vertex] loop
            cycle := cycle || walk[i];
            pending[walk[i]] := 0;
            freed := freed + 1;
            free[freed] := walk[i];
        end loop;
        steps := place[vertex] - 1;
        return next cycle;
    end loop;
end
$$;
comment on function dag_cycle is 'Cycles in a graph.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_dot(dag_id, theme, colored, direction, max_nodes): a DAG in the DOT language of Graphviz; everything else as
-- dag_mermaid has it. Sub-DAGs are clusters; the theme dark comes with a dark page.
create function dag_dot(
    dag_id bigint, theme text default 'default', colored boolean default true, direction text default 'TD',
    max_nodes integer default 500)
returns text
language plpgsql stable set search_path from current
as $$
declare
    graph jsonb;
    lines text[];
    depth integer := 0;
    label record;
    title text;
    look record;
    dark boolean;
    n jsonb;
begin
    perform dag_theme(dag_dot.theme);
    perform dag_style(direction, max_nodes);
    graph := dag_graph_json(dag_dot.dag_id, max_nodes);
    colored := coalesce(colored, true);
    dark := colored and dag_dot.theme = 'dark';
    lines := array[
        'digraph dag {',
        format('    graph [compound=true, rankdir=%s, fontname="Helvetica"%s];', case direction when 'TD' then 'TB' else direction end,
               case when dark then ', bgcolor="#0d1117", fontcolor="#f0f6fc"' end),
        '    node [shape=box, fontname="Helvetica"];',
        format('    edge [fontname="Helvetica", fontsize=10%s];', case when dark then ', color="#8b949e", fontcolor="#8b949e"' end)];
    for n in select e from jsonb_array_elements(graph -> 'nodes') e loop
        while depth > (n ->> 'depth')::integer loop
            lines := lines || (repeat('    ', depth) || '}');
            depth := depth - 1;
        end loop;
        select * into label from dag_graph_label(n, colored);
        title := 'label="' || concat(dag_graph_dot_text(label.name), label.items, '\n' || label.rule) || '"';
        select * into look from dag_theme(dag_dot.theme) t where t.state = n ->> 'state';
        if n ->> 'role' = 'dag' then
            lines := lines || (repeat('    ', depth + 1) || 'subgraph cluster_' || (n ->> 'id') || ' {');
            depth := depth + 1;
            lines := lines || (repeat('    ', depth + 1) || title || ';');
            if colored then
                lines := lines || (repeat('    ', depth + 1) || format('color="%s"; penwidth=2;', look.stroke));
            end if;
            if (n ->> 'empty')::boolean then
                lines := lines || (repeat('    ', depth + 1) || (n ->> 'id') || 'x [label="…", shape=plaintext];');
            end if;
        else
            lines := lines || (repeat('    ', depth + 1) || format('%s [%s%s%s];', n ->> 'id', title,
                case n ->> 'role' when 'external' then ', shape=hexagon' when 'map' then ', peripheries=2' end,
                ', style="' || nullif(concat_ws(',', case when n ->> 'role' = 'sleep' then 'rounded' end, case when colored then 'filled' end), '')
                || '"' || case when colored
                              then format(', fillcolor="%s", color="%s", fontcolor="%s"', look.fill, look.stroke, look.color) else '' end));
        end if;
    end loop;
    while depth > 0 loop
        lines := lines || (repeat('    ', depth) || '}');
        depth := depth - 1;
    end loop;
    if (graph ->> 'more')::bigint > 0 then
        lines := lines || format('    more [label="… and %s more", style=dashed];', graph ->> 'more');
    end if;
    -- An edge from or to a cluster goes from or to a node in it and is clipped at its border.
    lines := lines || array(
        with ends as (
            select e ->> 'id' as id, e ->> 'role' as role, coalesce(e ->> 'first', (e ->> 'id') || 'x') as first,
                   coalesce(e ->> 'last', (e ->> 'id') || 'x') as last
            from jsonb_array_elements(graph -> 'nodes') e
        )
        select '    ' || case when f.role = 'dag' then f.last else f.id end || ' -> ' || case when t.role = 'dag' then t.first else t.id end
               || coalesce(' [' || nullif(concat_ws(', ',
                      case when f.role = 'dag' then 'ltail=cluster_' || f.id end,
                      case when t.role = 'dag' then 'lhead=cluster_' || t.id end,
                      case when (e ->> 'soft')::boolean then 'style=dashed' end,
                      'label="' || dag_graph_dot_text(e ->> 'condition') || '"'), '') || ']', '') || ';'
        from jsonb_array_elements(graph -> 'edges') with ordinality x(e, place)
        join ends f on f.id = e ->> 'from'
        join ends t on t.id = e ->> 'to'
        order by place);
    return array_to_string(lines || '}'::text, e'\n') || e'\n';
end
$$;
comment on function dag_dot is 'A DAG in the DOT language.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_downstream(job_ids): these nodes and all that comes after them in their DAG, at any depth. Sub-DAGs and maps among them
-- are taken with all that is in them; those in which some node, or item, comes after these nodes are passed through and left
-- out themselves, as is the DAG's own job: they end with what is in them. Internal.
create function dag_downstream(job_ids bigint[]) returns setof bigint
language sql stable
as $$
    with recursive reached as (
        select id, true as taken from unnest(job_ids) id
        union
        select j.id, n.taken or case j.role
                   when 'map' then not is_item(r.id, j.id)
                   when 'dag' then exists (
                       select from jobs p where p.id = r.id and (p.name = j.name || '/(start)' or not starts_with(p.name, j.name || '/')))
                   else true end
        from reached r
        cross join lateral (
            select e.child_id as id, false as taken from edges e where e.parent_id = r.id
            union all
            select m, true from members_of(array[r.id]) m where r.taken) n
        cross join lateral (select dag_id from jobs where jobs.id = r.id offset 0) o
        join jobs j on j.id = n.id and j.dag_id = o.dag_id
    )
    select distinct id from reached where taken
$$;
comment on function dag_downstream is 'Nodes and all that come after them.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_explain(dag_id, node): why a node of a DAG does not run; null for the node: why the DAG has not ended. The answer of
-- explain_job. Raises PQ004 when there is no such DAG or node. Locks nothing.
create function dag_explain(dag_id bigint, node text default null)
returns table (reason text, detail text, job_id bigint)
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    root constant jobs := dag_graph_root(dag_explain.dag_id);
    id bigint := root.id;
begin
    if node is not null then
        id := (select j.id from jobs j where j.dag_id = root.id and j.name = dag_explain.node);
        if id is null then
            raise exception using
                errcode = 'PQ004',
                message = format('DAG %s has no node %s', root.id, node);
        end if;
    end if;
    return query select e.reason, e.detail, e.job_id from explain_one(id) e;
end
$$;
comment on function dag_explain is 'Why a node of a DAG does not run.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_extend(dag_id, spec): adds nodes to a DAG under way, {"nodes": […]}, in the caller's transaction: a handler does it before
-- it completes. New nodes may come after existing ones, and ("before") before existing ones that still wait.
-- The DAG ends when they have ended, too. Returns the ids of the nodes in their order.
-- Raises PQ001 with all that is wrong (dag_problems), for a DAG that has ended or is being cancelled, for a node of "before"
-- that waits no more, and for a cycle; PQ004 for an unknown DAG. Nothing is written then.
-- Locks: the DAG; what pin locks; rows of waiting by job.
create function dag_extend(dag_id bigint, spec jsonb) returns setof bigint
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    root record;
    followers bigint[];
    sinks bigint[];
    added bigint[];
begin
    perform lock_dag(dag_id);
    perform dag_refuse(spec, dag_id);
    select w.* into root from waiting w where w.job_id = dag_extend.dag_id;
    if not found or root.ending is not null then
        perform invalid('dag_id', 'must be a DAG under way');
    end if;
    followers := array(
        select distinct j.id
        from jsonb_array_elements(spec -> 'nodes') n, jsonb_array_elements_text(coalesce(n -> 'before', '[]')) b
        join jobs j on j.dag_id = dag_extend.dag_id and j.name = b);
    -- A sub-DAG that nodes are added to must not end meanwhile, nor what they come before start.
    sinks := array(
        select j.id from jobs j
        where j.dag_id = dag_extend.dag_id and j.role = 'dag'
          and exists (select from jsonb_array_elements(spec -> 'nodes') n where starts_with(n ->> 'name', j.name || '/'))
        union select dag_extend.dag_id);
    perform w.job_id from waiting w where w.job_id = any(followers || sinks) order by w.job_id for update;
    perform dag_check_open(followers || sinks);
    added := dag_add(dag_id, spec -> 'nodes');
    perform dag_check_cycle(dag_id, followers, added);
    update waiting w
    set pending = w.pending + n.more, need_failed = w.need_failed + case when j.rule = 'all_failed' and j.role is distinct from 'dag' then n.more else 0 end
    from (select e.child_id, count(*)::integer as more
          from edges e where e.parent_id = any(added) and e.child_id <> all(added) group by e.child_id) n
    join jobs j on j.id = n.child_id
    where w.job_id = n.child_id;
    perform judge(array(select w.job_id from waiting w where w.job_id = any(added) and (w.pending = 0 or w.eager)));
    perform record_event('extended', root.job_id, root.queue, 0, null, jsonb_build_object('nodes', cardinality(added)));
    return query select unnest(added[1 : jsonb_array_length(spec -> 'nodes')]);
end
$$;
comment on function dag_extend is 'Adds nodes to a DAG under way.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_fail(dag_id, node, error): answers an external node with a failure: a refusal for example. The first answer counts.
-- Outcome: failed; early (the node is not reached yet: the answer is kept until then); finished (too late).
-- Raises PQ004 for an unknown DAG or node, PQ001 for one that is not external. Locks: its row of waiting.
create function dag_fail(dag_id bigint, node text, error text default 'refused') returns text
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    return dag_answer(dag_id, node, null, coalesce(error, 'refused'));
end
$$;
comment on function dag_fail is 'Answers an external node with a failure.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_forget_items(job_ids): deletes the items of those maps among these nodes of which a parent is among them, too: they will
-- be expanded anew, once that is done, and maybe from another result. Of other maps it forgets how many items were cut off. Internal: dag_reset.
-- Raises PQ006 when one of the items to be deleted runs.
create function dag_forget_items(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    map record;
    items bigint[];
begin
    for map in
        select m.id, m.name, m.dag_id, m.spec, s.source_id,
               exists (select from edges e where e.child_id = m.id and e.parent_id = any(job_ids) and not is_item(e.parent_id, m.id)) as anew
        from jobs m join maps s on s.job_id = m.id
        where m.id = any(job_ids) and exists (select from results f where f.job_id = m.id)
        order by m.id
    loop
        if not map.anew then
            update maps m set total = greatest(m.expanded, coalesce(
                (select jsonb_array_length(jsonb_path_query_array(f.output, (map.spec ->> 'path')::jsonpath))
                 from results f where f.job_id = map.source_id), m.expanded))
            where m.job_id = map.id;
            continue;
        end if;
        items := array(select m from members_of(array[map.id]) m);
        if exists (select from running r where r.job_id = any(items)) then
            perform too_busy(items);
        end if;
        delete from frontier where parent_id = any(items);
        delete from results where job_id = any(items);
        perform forget(items);
        delete from maps where job_id = map.id;
    end loop;
end
$$;
comment on function dag_forget_items is 'Deletes the items of maps that are to be expanded anew.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_fork(dag_id, nodes): a new DAG like one that has ended, in which the nodes named (names or patterns), all that comes after
-- them, and what did not succeed run again; the results of the others are taken over. Its id.
-- Raises PQ001 when the DAG has not ended, PQ004 for an unknown DAG or node. Locks: the chores and the DAG.
create function dag_fork(dag_id bigint, nodes text[]) returns bigint
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    fork bigint;
    old_ids bigint[];
    new_ids bigint[];
    chosen bigint[];
begin
    if coalesce(nodes, '{}') = '{}' then
        perform invalid('nodes', 'must name a node to fork from');
    end if;
    perform pg_advisory_xact_lock(advisory_key('chores'));
    perform lock_dag(dag_id);
    if not exists (select from results f where f.job_id = dag_fork.dag_id) then
        perform invalid('dag_id', 'must be a DAG that has ended');
    end if;
    perform dag_named(dag_id, nodes);
    old_ids := dag_fork.dag_id || array(select j.id from jobs j where j.dag_id = dag_fork.dag_id order by j.id);
    new_ids := array(select nextval('jobs_id_seq') from generate_series(1, cardinality(old_ids)));
    fork := new_ids[1];
    insert into jobs (id, queue, kind, priority, max_attempts, timeout, backoff, result_ttl, tags, metadata, codec, payload, args,
                      dag_id, name, role, rule, spec)
    select new_ids[u.place], queue, kind, priority, max_attempts, timeout, backoff, result_ttl, tags, metadata, codec, payload, args,
           case when j.dag_id is not null then fork end, name, role, rule,
           case when j.dag_id is null then spec - 'key' || jsonb_build_object('forked_from', dag_fork.dag_id)
                when spec ? 'map' then spec || jsonb_build_object('map', renumber((spec ->> 'map')::bigint, old_ids, new_ids))
                else spec end
    from unnest(old_ids) with ordinality u(id, place)
    cross join lateral (select * from jobs where jobs.id = u.id offset 0) j;
    insert into edges (parent_id, child_id, soft, condition)
    select renumber(e.parent_id, old_ids, new_ids), new_ids[u.place], e.soft, e.condition
    from unnest(old_ids) with ordinality u(id, place)
    join edges e on e.child_id = u.id;
    insert into maps (job_id, source_id, total, expanded, released, next_item)
    select renumber(m.job_id, old_ids, new_ids), renumber(m.source_id, old_ids, new_ids), total, expanded, expanded,
           new_ids[cardinality(new_ids)] + 1 -- before the items that are still to be added
    from maps m where m.job_id = any(old_ids);
    insert into results (job_id, queue, state, attempt, worker_id, claimed_at, finished_at, codec, payload, output, error, dag_id, cause_id)
    select new_ids[u.place], f.queue, f.state, f.attempt, f.worker_id, f.claimed_at, f.finished_at, f.codec, f.payload, f.output, f.error,
           case when f.dag_id is not null then fork end, renumber(f.cause_id, old_ids, new_ids)
    from unnest(old_ids) with ordinality u(id, place)
    cross join lateral (select * from results where results.job_id = u.id offset 0) f;
    chosen := dag_named(fork, nodes);
    chosen := array(select d from dag_downstream(chosen || array(select m from members_of(chosen) m)) d);
    perform dag_reset(chosen || array(
        select f.job_id from results f
        where f.job_id = any(new_ids) and f.dag_id is not null and f.state in ('failed', 'cancelled', 'expired')));
    return fork;
end
$$;
comment on function dag_fork is 'A new DAG that takes over results of one that has ended.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_graph_dot_text(text): a text as it must stand between quotes in DOT, whose labels know escapes and HTML entities. Internal.
create function dag_graph_dot_text(raw text) returns text
language sql immutable
as $$
    select replace(replace(replace(raw, '\', '\\'), '"', '\"'), '&', '&amp;')
$$;
comment on function dag_graph_dot_text is 'A text between quotes in DOT.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_graph_json(dag_id, max_nodes): what a picture of a DAG shows, for dag_mermaid, dag_dot and others that draw:
-- {"nodes": […], "edges": […], "more": 12}. Raises PQ004 when there is no such DAG. Reads all nodes of the DAG, and the
-- edges of those that are shown. Locks nothing.
--
-- nodes: id (n0, n1 … in the order of the job ids, so that they stay the same when nodes are added; j17 for job 17, which is
--   not of this DAG), job_id, name, label (the last part of the name), role, rule, at_least, state (held for one that
--   waits and is held), done and total (of the items of a map, once known), depth (0 at the top) and empty (true for a
--   sub-DAG of which no node is shown); for sub-DAGs first and last: ids of nodes inside. Sub-DAGs are
--   followed by their nodes. The first max_nodes by job id are shown, and the sub-DAGs that these are in;
--   gates and items of maps are not. more: how many others there are.
-- edges: from and to (ids), soft, condition. Those into a gate end at its sub-DAG; those out of it, from the
--   nodes of a sub-DAG to itself and those into the DAG are not shown. At most 100 jobs that are not of this DAG.
create function dag_graph_json(dag_id bigint, max_nodes integer default 500) returns jsonb
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    root constant jobs := dag_graph_root(dag_graph_json.dag_id);
    graph jsonb;
begin
    with visible as materialized (
        select id, name, role, row_number() over (order by id) - 1 as place
        from jobs
        where dag_id = root.id and coalesce(role, '') <> 'gate' and right(name, 1) <> ']'
    ), first as materialized (
        select *, string_to_array(name, '/') as parts from visible where place < max_nodes
    ), shown as materialized (
        select * from first
        union all
        select *, string_to_array(name, '/') from visible v
        where v.place >= max_nodes
          and v.role = 'dag'
          and v.name = any(array(
              select array_to_string(f.parts[1:k], '/') from first f, generate_series(1, cardinality(f.parts) - 1) k))
    ), subs as materialized (
        select name, place from shown where role = 'dag'
    ), nested as materialized (
        select s.*, j.kind, j.rule, j.spec,
               array(select o.place from subs o
                     where o.name = any(array(
                         select array_to_string(s.parts[1:k], '/') from generate_series(1, cardinality(s.parts) - 1) k))
                     order by length(o.name)) || s.place as path
        from shown s
        cross join lateral (select kind, rule, spec from jobs where jobs.id = s.id offset 0) j
    ), stated as materialized (
        select n.*, t.state, w.held, w.pending, m.total as items, f.output
        from nested n
        cross join lateral (select state from job_states where id = n.id offset 0) t
        left join lateral (select held, pending from waiting where job_id = n.id offset 0) w on true
        left join lateral (select total from maps where n.role = 'map' and job_id = n.id offset 0) m on true
        left join lateral (
            select output from results where n.role = 'map' and state = 'completed' and job_id = n.id offset 0) f on true
    ), children as materialized (
        select id as child_id, id as target, name, role from shown
        union all
        select g.id, s.id, s.name, s.role
        from shown s
        cross join lateral (
            select id from jobs where s.role = 'dag' and dag_id = root.id and name = s.name || '/(start)' offset 0) g
    ), links as materialized (
        select e.parent_id, c.target, c.name, c.role, e.soft, e.condition::text as condition
        from children c
        cross join lateral (select parent_id, soft, condition from edges where child_id = c.child_id offset 0) e
    ), drawn as (
        select p.id as parent_id, p.place, l.target, l.soft, l.condition
        from links l
        join shown p on p.id = l.parent_id
        where l.role is distinct from 'dag' or not starts_with(p.name, l.name || '/')
    ), outside as (
        select j.id, j.kind, o.target, o.soft, o.condition
        from (select l.* from links l where not exists (select from shown s where s.id = l.parent_id) offset 0) o
        cross join lateral (
            select id, kind from jobs
            where id = o.parent_id and dag_id is distinct from root.id and id <> root.id offset 0) j
        order by j.id
        limit 100
    ), boxes as (
        select s.path, jsonb_strip_nulls(jsonb_build_object(
                   'id', 'n' || s.place, 'job_id', s.id, 'name', s.name, 'label', s.parts[cardinality(s.parts)],
                   'role', s.role, 'kind', s.kind, 'rule', nullif(s.rule, 'all'), 'at_least', s.spec -> 'at_least',
                   'state', case when s.state = 'waiting' and s.held then 'held' else s.state end,
                   'done', case when s.items is not null and s.state = 'waiting' then s.items - s.pending
                                else (s.output ->> 'items')::integer end,
                   'total', case when s.items is not null and s.state = 'waiting' then s.items
                                 else (s.output ->> 'items')::integer end,
                   'depth', cardinality(s.path) - 1, 'empty', case when s.role = 'dag' then i.first is null end,
                   'first', 'n' || i.first, 'last', 'n' || i.last)) as node
        from stated s
        left join lateral (
            select min(o.place) as first, max(o.place) as last from shown o
            where s.role = 'dag' and o.role is distinct from 'dag' and starts_with(o.name, s.name || '/')) i on true
        union all
        select distinct array[-1, o.id], jsonb_build_object(
                   'id', 'j' || o.id, 'job_id', o.id, 'label', format('%s %s', o.kind, o.id), 'state', t.state, 'depth', 0)
        from outside o
        cross join lateral (select state from job_states where id = o.id offset 0) t
    ), arrows as (
        select d.place as parent, c.place as child, bool_and(d.soft) as soft, d.condition, 'n' as prefix
        from drawn d join shown c on c.id = d.target
        group by 1, 2, d.condition
        union all
        select o.id, c.place, bool_and(o.soft), o.condition, 'j'
        from outside o join shown c on c.id = o.target
        group by 1, 2, o.condition
    )
    select jsonb_build_object(
               'nodes', (select coalesce(jsonb_agg(node order by path), '[]') from boxes),
               'edges', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                             'from', prefix || parent, 'to', 'n' || child, 'soft', soft, 'condition', condition))
                             order by prefix, parent, child, condition), '[]') from arrows),
               'more', (select count(*) from visible) - (select count(*) from shown))
    into graph;
    return graph;
end
$$;
comment on function dag_graph_json is 'What a picture of a DAG shows.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_graph_label(node, colored): what the label of a node says: its name, the items of a map that are done (" (12/100)"),
-- and the rule unless it is all; null for what it does not say. Internal: dag_mermaid and dag_dot.
create function dag_graph_label(node jsonb, colored boolean, out name text, out items text, out rule text)
language sql immutable
as $$
    select node ->> 'label',
           case when colored and node ? 'total' then format(' (%s/%s)', node ->> 'done', node ->> 'total') end,
           replace(node ->> 'rule', '_', ' ') || coalesce(' ' || (node ->> 'at_least'), '')
$$;
comment on function dag_graph_label is 'What the label of a node says.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_graph_mermaid_text(text): a text as it must stand between quotes in a Mermaid flowchart. What Mermaid might take for
-- more than text becomes a character reference (#34; for a quote): quotes, HTML, Markdown, comments, and the
-- word "direction", for which its lexer looks at whole lines. Internal.
create function dag_graph_mermaid_text(raw text) returns text
language sql immutable
as $$
    select replace(string_agg(
               case
                   when c ~ '[A-Za-z0-9 /,]'
                        or c ~ '[-_.]' and before ~ '[A-Za-z0-9]' and after <> ' '
                        or ascii(c) > 160 and c !~ '[\u00b6\u2028\u2029\ufb02]' then c
                   else '#' || ascii(c) || ';'
               end, '' order by place), 'direction', 'd#105;rection')
    from (select c, place, lag(c) over (order by place) as before, lead(c, 1, '') over (order by place) as after
          from regexp_split_to_table(raw, '') with ordinality s(c, place)) characters
$$;
comment on function dag_graph_mermaid_text is 'A text between quotes in Mermaid.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_graph_pace(dag_id, kind, names, map_names, map_counts, running_names, elapsed): the work that is left of a DAG in
-- seconds, judged by up to ten earlier runs of the same name, and the median time that these took. Both null: there is no
-- earlier run; work is null when none knew any of these nodes. Internal: dag_progress, whose header has the formula.
-- names: nodes that have not ended, other than items; map_names and map_counts: maps and how many of their items have not
-- ended (null: not known yet); running_names and elapsed: how many seconds nodes and items have been running.
-- Looks at 500 of the names, and at 50 items of a map per run.
create function dag_graph_pace(
    dag_id bigint, kind text, names text[], map_names text[], map_counts integer[], running_names text[],
    elapsed double precision[], out work double precision, out took double precision)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    runs bigint[];
    every constant integer := 1 + cardinality(names) / 500;
begin
    select array_agg(r.id), percentile_cont(0.5) within group (order by date_part('epoch', r.finished_at - r.created_at))
    into runs, took
    from (
        select d.id, d.created_at, f.finished_at
        from (select id, created_at from jobs
              where kind = dag_graph_pace.kind and role = 'dag' and dag_id is null and id < dag_graph_pace.dag_id
              order by id desc
              limit 1000) d
        cross join lateral (
            select finished_at from results
            where job_id = d.id and state in ('completed', 'failed') offset 0) f
        order by d.id desc
        limit 10) r;
    if runs is null then
        return;
    end if;
    with sampled as materialized (
        select u.name, 1::double precision as n, false as map
        from unnest(names) with ordinality u(name, place)
        where place % every = 0
        union all
        select u.name, coalesce(u.n, (
                   select avg((f.output ->> 'items')::double precision)
                   from unnest(runs) run
                   cross join lateral (select id from jobs where dag_id = run and name = u.name offset 0) m
                   cross join lateral (select output from results where job_id = m.id offset 0) f)), true
        from unnest(map_names, map_counts) u(name, n)
    ), active as materialized (
        select case when right(u.name, 1) = ']' then left(u.name, -strpos(reverse(u.name), '[')) else u.name end as name,
               sum(u.elapsed) as elapsed
        from unnest(running_names, elapsed) u(name, elapsed)
        group by 1
    ), judged as materialized (
        select s.n, s.map, a.elapsed, m.median
        from sampled s
        left join active a using (name)
        cross join lateral (
            select percentile_cont(0.5) within group (order by date_part('epoch', f.finished_at - f.claimed_at)) as median
            from unnest(runs) run
            cross join lateral (
                select id from jobs where not s.map and dag_id = run and name = s.name and role is null
                union all
                (select id from jobs
                 where s.map and dag_id = run and name > s.name || '[' and name < s.name || '\' and role is null
                 order by name
                 limit 50)) j
            cross join lateral (
                select claimed_at, finished_at from results
                where job_id = j.id and state = 'completed' and claimed_at is not null offset 0) f) m
        where s.n is not null
    ), known as (
        select sum(j.n * j.median) / nullif(sum(j.n), 0) as mean,
               sum(greatest(0, j.n * j.median - coalesce(j.elapsed, 0)) - j.n * j.median) as spent,
               sum(j.n * j.median) filter (where j.map) as in_maps,
               sum(j.n * j.median) filter (where not j.map) / nullif(count(*) filter (where not j.map), 0) as plain_mean
        from judged j
        where j.median is not null
    )
    select greatest(0, coalesce(k.in_maps, 0)
                       + coalesce(k.plain_mean, k.mean) * coalesce(cardinality(names), 0)
                       + k.mean * (select coalesce(sum(j.n), 0) from judged j where j.map and j.median is null)
                       + k.spent)
    into work
    from known k
    where k.mean is not null;
end
$$;
comment on function dag_graph_pace is 'The work left of a DAG, judged by earlier runs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_graph_root(dag_id): the job of a DAG. Raises PQ004 when there is no such DAG; nodes and sub-DAGs are none.
-- Internal: what looks at whole DAGs.
create function dag_graph_root(dag_id bigint) returns jobs
language plpgsql stable
as $$
declare
    root jobs;
begin
    select * into root
    from jobs j
    where j.id = dag_graph_root.dag_id and j.role = 'dag' and j.dag_id is null;
    if root.id is null then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no DAG %s', coalesce(dag_graph_root.dag_id::text, 'null'));
    end if;
    return root;
end
$$;
comment on function dag_graph_root is 'The job of a DAG.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_hold(dag_id, reason): lets no node of a DAG start from now on; nodes that run go on, with their retries. Nodes that wait
-- for a worker or a time wait for dag_resume. Returns how many nodes are held. Zero: it has ended, or is held already.
-- Raises PQ004 for an unknown DAG. Locks: the DAG; rows of waiting by job, then what withdraw locks.
create function dag_hold(dag_id bigint, reason text default null) returns bigint
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    members bigint[];
    held bigint;
    gone record;
begin
    perform lock_dag(dag_id);
    members := array(select m.id from jobs m where m.dag_id = dag_hold.dag_id order by m.id);
    perform w.job_id from waiting w where w.job_id = any(members) or w.job_id = dag_hold.dag_id order by w.job_id for no key update;
    update waiting w set held = true
    where (w.job_id = any(members) or w.job_id = dag_hold.dag_id) and not w.held;
    get diagnostics held = row_count;
    if held = 0 then
        return 0;
    end if;
    -- Items of a map are added only by who holds its row.
    members := array(select m.id from jobs m where m.dag_id = dag_hold.dag_id order by m.id);
    for round in 1 .. 100 loop
        select array_agg(w.job_id) as ids, array_agg(w.attempt) as attempts into gone from withdraw(members) w;
        if gone.ids is not null then
            perform pin(array(select distinct e.parent_id from edges e where e.child_id = any(gone.ids)));
            perform rewait(gone.ids, gone.attempts);
            held := held + cardinality(gone.ids);
        end if;
        exit when not exists (
            select from job_states s where s.dag_id = dag_hold.dag_id and s.state in ('ready', 'scheduled'));
    end loop;
    perform record_event('held', j.id, j.queue, 0, null, jsonb_strip_nulls(jsonb_build_object('reason', dag_hold.reason)))
    from jobs j where j.id = dag_hold.dag_id;
    return held - 1;
end
$$;
comment on function dag_hold is 'Lets no node of a DAG start.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_insert(dag_id, nodes): inserts the nodes of a JSON array into jobs, edges, waiting and expiries, all in one statement that
-- reads the array once. Returns the ids of the nodes in their order, then those of hidden gates. Internal: dag_add.
--
-- Edges lead to a node
--   from what it comes after (to the gate of a sub-DAG, in its place), and from it to what it comes before;
--   from the gate of the sub-DAG it is in, if nothing else in that comes before it and its rule is all;
-- and from it, as from each gate, to the sub-DAG or DAG it is in if it is a leaf: if no other node in that waits for it in such a way that its
-- failure shows there. If some node waits for it that may start before it has ended (any, at_least), the DAG waits
-- for it, too, but tolerates its failure.
-- The planner takes a JSON array for short: without nested loops it hashes what it need not look up by index.
create function dag_insert(dag_id bigint, nodes jsonb) returns bigint[]
language plpgsql set search_path from current
set jit = off set enable_hashjoin = on set enable_nestloop = off
as $$
#variable_conflict use_column
declare
    ids constant bigint[] := array(select nextval('jobs_id_seq') from generate_series(1, jsonb_array_length(nodes)));
    gate_ids bigint[];
begin
    with input as materialized (
        select ids[e.ordinality] as id, scope_of(n.name) as scope, coalesce(n.type, 'job') as type, coalesce(n.rule, 'all') as rule,
               coalesce(n.queue, d.queue) as queue, coalesce(n.priority, d.priority) as priority, coalesce(n.type, 'job') = 'job' as is_job,
               n.name, n.kind, n.args, n.max_attempts, n.timeout, n.backoff, n.tags, n.metadata, now() + n.ttl as expires_at, n.codec,
               n.payload, n.after, n.over, n.at_least, e.value as node, d.held
        from (select d.queue, d.priority, coalesce(w.held, false) as held
              from jobs d left join waiting w on w.job_id = d.id where d.id = dag_insert.dag_id) d
        cross join jsonb_array_elements(nodes) with ordinality e
        cross join lateral jsonb_to_record(e.value) n(
            name text, type text, rule text, queue text, priority smallint, kind text, args jsonb, max_attempts integer,
            timeout interval, backoff jsonb, tags text[], metadata jsonb, ttl interval, codec text, payload text, after jsonb,
            over text, at_least integer)
    ), gates as materialized (
        select nextval('jobs_id_seq') as id, s.id as sub_id, s.name, s.name || '/(start)' as gate, s.queue, s.priority, s.rule, s.at_least, s.held
        from input s
        where s.type = 'dag'
          and (jsonb_array_length(s.after) > 0
               or exists (select from input o where o.type = 'dag' and jsonb_array_length(o.after) > 0 and starts_with(s.name, o.name || '/'))
               or exists (select from jobs g where g.dag_id = dag_insert.dag_id and g.role = 'gate' and starts_with(s.name, left(g.name, -7))))
    ), members as materialized (
        select i.id, coalesce(g.id, i.id) as entry_id, i.name, i.scope, i.rule, false as is_gate
        from input i left join gates g on g.sub_id = i.id
        union all
        select id, id, gate, name, rule, true from gates
    ), after as materialized (
        select coalesce(g.id, i.id) as child_id, a.*
        from input i
        left join gates g on g.sub_id = i.id
        cross join lateral (
            select coalesce(d ->> 'node', d #>> '{}') as parent, (d ->> 'job')::bigint as job_id,
                   coalesce((d ->> 'soft')::boolean, false) as soft, (d ->> 'when')::jsonpath as condition
            from jsonb_array_elements(i.after) d
            union all
            select i.over, null, false, null
            where i.over is not null
              and not exists (select from jsonb_array_elements(i.after) d where coalesce(d ->> 'node', d #>> '{}') = i.over)) a
    ), dependencies as materialized (
        select coalesce(a.job_id, p.id, o.id) as parent_id, coalesce(p.name, o.name) as parent, a.child_id, a.soft, a.condition
        from after a
        left join members p on p.name = a.parent and a.job_id is null
        left join lateral (
            select id, name from jobs
            where p.id is null and a.job_id is null and jobs.dag_id = dag_insert.dag_id and name = a.parent offset 0) o on true
    ), entering as materialized (
        select g.id as parent_id, m.entry_id as child_id
        from members m
        join (select id, name from gates
              union all
              select id, left(name, -8) from jobs where jobs.dag_id = dag_insert.dag_id and role = 'gate') g on g.name = m.scope
        left join (select d.child_id, count(*) as parents, count(*) filter (where starts_with(d.parent, c.scope || '/')) as inside
                   from dependencies d join members c on c.entry_id = d.child_id and not c.is_gate
                   group by d.child_id) had on had.child_id = m.entry_id
        where m.scope <> '' and not m.is_gate and (had.child_id is null or had.inside = 0 and m.rule = 'all')
    ), before as materialized (
        select i.id as parent_id, o.id as child_id, o.name as child, coalesce(o.rule, 'all') as rule
        from input i
        cross join lateral jsonb_array_elements_text(i.node -> 'before') b
        cross join lateral (select id, name, rule from jobs where jobs.dag_id = dag_insert.dag_id and name = b.value offset 0) o
    ), shown as materialized (
        select p.id, bool_or(a.absorbs) as absorbed, bool_or(a.absorbs and c.rule not in ('any', 'at_least', 'one_failed')) as shown
        from (select d.parent_id, d.soft, m.name, m.rule
              from dependencies d join members m on m.entry_id = d.child_id
              union all
              select parent_id, false, child, rule from before) d
        cross join lateral (select d.name, d.rule) c
        join members p on p.id = d.parent_id
        cross join lateral (select d.soft or c.rule not in ('done', 'one_failed', 'all_failed', 'none_skipped') as absorbs) a
        where p.scope = '' or starts_with(c.name, p.scope || '/')
        group by p.id
    ), leaving as materialized (
        select m.id as parent_id, coalesce(s.id, o.id, dag_insert.dag_id) as child_id, coalesce(h.absorbed, false) as soft
        from members m
        left join shown h on h.id = m.id
        left join members s on s.name = m.scope and m.scope <> ''
        left join lateral (
            select id from jobs where s.id is null and m.scope <> '' and jobs.dag_id = dag_insert.dag_id and name = m.scope offset 0) o on true
        where not m.is_gate and not coalesce(h.shown, false)
        union all
        select id, sub_id, false from gates
    ), joined as (
        insert into edges (parent_id, child_id, soft, condition)
        select parent_id, child_id, soft, condition from dependencies
        union all select parent_id, child_id, false, null from entering
        union all select parent_id, child_id, soft, null from leaving
        union all select parent_id, child_id, false, null from before
    ), parents as (
        select child_id, count(*)::integer as n, bool_and(entering) as only_gate
        from (select child_id, false as entering from dependencies
              union all select child_id, true from entering
              union all select child_id, false from leaving) e
        group by child_id
    ), mortal as (
        insert into expiries (expires_at, job_id) select expires_at, id from input where is_job and expires_at is not null
    ), opened as (
        insert into jobs (id, queue, kind, priority, dag_id, name, role, rule, spec)
        select id, queue, 'gate', priority, dag_insert.dag_id, gate, 'gate', rule,
               case when at_least is not null then jsonb_build_object('at_least', at_least) end
        from gates
    ), added as (
        insert into jobs (id, queue, kind, priority, max_attempts, timeout, backoff, expires_at, tags, metadata, codec, payload, args,
                          dag_id, name, role, rule, spec)
        select id, queue, case when is_job then kind else type end, priority, case when is_job then max_attempts end,
               case when is_job then timeout end, case when is_job then nullif(backoff, 'null') end, case when is_job then expires_at end,
               tags, nullif(metadata, 'null'), case when is_job then codec end, case when is_job then decode(payload, 'base64') end,
               case when is_job then nullif(args, 'null') end, dag_insert.dag_id, name, nullif(type, 'job'), rule,
               case when not is_job or node ?| '{at_least,delay}' then dag_spec(type, node, queue, priority) end
        from input
    ), put as (
        insert into waiting (job_id, queue, role, pending, held, need_ok, need_failed, max_failed, max_skipped, eager)
        select i.id, i.queue, i.role, coalesce(p.n, 0), i.held, t.need_ok, t.need_failed, t.max_failed, t.max_skipped,
               t.eager and i.role is distinct from 'map' -- which needs its source
        from (select id, queue, nullif(type, 'job') as role, case when type = 'dag' then 'done' else rule end as rule, at_least, held from input
              union all
              select id, queue, 'gate', rule, at_least, held from gates) i
        left join parents p on p.child_id = i.id
        cross join lateral rule_thresholds(case when p.only_gate then 'all' else i.rule end, p.n, i.at_least) t
    )
    select array_agg(id) into gate_ids from gates;
    return ids || gate_ids;
end
$$;
comment on function dag_insert is 'Inserts the nodes of a JSON array.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_items(map_id, after, at_most): the items of a map in their order, with how they ended and their results: those with an
-- item_id above after. No rows: there are none (yet). Locks nothing.
create function dag_items(map_id bigint, after bigint default 0, at_most integer default 1000)
returns table (item_id bigint, index integer, name text, state text, output jsonb, codec text, payload bytea, error text)
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    return query
        select j.id, substring(j.name from '\[(\d+)\]$')::integer, j.name, s.state, f.output, f.codec, f.payload, f.error
        from jobs m
        cross join lateral (
            select x.* from edges e
            cross join lateral (
                select id, name from jobs
                where jobs.id = e.parent_id and name >= m.name || '[' and name < m.name || '\' offset 0) x
            where e.child_id = m.id and e.parent_id > after
            order by e.parent_id
            limit at_most) j
        cross join lateral (select state from job_states where job_states.id = j.id offset 0) s
        left join lateral (select * from results r where r.job_id = j.id offset 0) f on true
        where m.id = map_id
        order by j.id;
end
$$;
comment on function dag_items is 'Items of a map with their results.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_levels(dag_id): the level of each node: 0 for those without parents, else one more than the highest of its
-- parents', so that nodes of one level could run at the same time. Ordered by level and id. Hidden gates and sub-DAGs
-- take no level of their own: what waits for a sub-DAG is one above its last node, as is the sub-DAG itself; items
-- count as their map. Raises PQ004 when there is no such DAG. Reads the nodes and edges of the DAG once. Locks nothing.
create function dag_levels(dag_id bigint)
returns table (name text, level integer)
language plpgsql stable set search_path from current
set jit = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    root constant jobs := dag_graph_root(dag_levels.dag_id);
    names text[];
    heights integer[];   -- what a node adds to the levels of its children: 1, or 0 for gates and sub-DAGs
    parents integer[];   -- edges, in the order of their parents; nodes are numbered from 1
    children integer[];
    first_edges integer[];
    pending integer[];   -- how many parents have no level yet
    levels integer[];
    queue integer[];     -- nodes whose parents all have levels
    taken integer := 0;
    node integer;
    child integer;
    edge integer;
begin
    with nodes as materialized (
        select id, name, role, (row_number() over (order by id))::integer as place
        from jobs
        where dag_id = root.id and right(name, 1) <> ']'
    ), links as materialized (
        select p.place as parent, c.place as child
        from nodes p
        cross join lateral (select child_id from edges where parent_id = p.id offset 0) e
        join nodes c on c.id = e.child_id
    )
    select (select array_agg(name order by place) from nodes),
           (select array_agg(case when role in ('gate', 'dag') then 0 else 1 end order by place) from nodes),
           (select array_agg(parent order by parent, child) from links),
           (select array_agg(child order by parent, child) from links)
    into names, heights, parents, children;
    if names is null then
        return;
    end if;
    first_edges := array_fill(0, array[cardinality(names)]);
    pending := array_fill(0, array[cardinality(names)]);
    levels := array_fill(0, array[cardinality(names)]);
    queue := array_fill(0, array[cardinality(names)]);
    for i in 1 .. coalesce(cardinality(parents), 0) loop
        if first_edges[parents[i]] = 0 then
            first_edges[parents[i]] := i;
        end if;
        pending[children[i]] := pending[children[i]] + 1;
    end loop;
    for i in 1 .. cardinality(names) loop
        if pending[i] = 0 then
            taken := taken + 1;
            queue[taken] := i;
        end if;
    end loop;
    for i in 1 .. cardinality(names) loop
        node := queue[i];
        exit when node = 0; -- cannot be: the graph has no cycles
        edge := first_edges[node];
        while edge > 0 and parents[edge] = node loop
            child := children[edge];
            levels[child] := greatest(levels[child], levels[node] + heights[node]);
            pending[child] := pending[child] - 1;
            if pending[child] = 0 then
                taken := taken + 1;
                queue[taken] := child;
            end if;
            edge := edge + 1;
        end loop;
    end loop;
    return query
        select u.name, u.level
        from unnest(names, levels) with ordinality u(name, level, place)
        where u.name not like '%/(start)'
        order by u.level, u.place;
end
$$;
comment on function dag_levels is 'The levels of the nodes of a DAG.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_mermaid(dag_id, theme, colored, direction, max_nodes): a DAG as a Mermaid flowchart. Themes: see dag_theme;
-- colored: with the states of the nodes and how many items of maps are done, else just the graph; direction: TD (or TB),
-- BT, LR, RL; what is shown: see dag_graph_json. Raises PQ001 for the options and PQ004 when there is no such DAG.
-- Boxes are jobs, hexagons answers from outside, stadiums sleeps, boxes with double sides maps, dashed arrows soft edges.
-- Mermaid itself refuses more than 500 edges or 50,000 characters unless its maxEdges and maxTextSize are raised.
create function dag_mermaid(
    dag_id bigint, theme text default 'default', colored boolean default true, direction text default 'TD',
    max_nodes integer default 500)
returns text
language plpgsql stable set search_path from current
as $$
declare
    graph jsonb;
    lines text[];
    depth integer := 0;
    label record;
    title text;
    class text;
    n jsonb;
begin
    perform dag_theme(dag_mermaid.theme);
    perform dag_style(direction, max_nodes);
    graph := dag_graph_json(dag_mermaid.dag_id, max_nodes);
    colored := coalesce(colored, true);
    lines := array['flowchart ' || direction];
    for n in select e from jsonb_array_elements(graph -> 'nodes') e loop
        while depth > (n ->> 'depth')::integer loop
            lines := lines || (repeat('    ', depth) || 'end');
            depth := depth - 1;
        end loop;
        select * into label from dag_graph_label(n, colored);
        title := '"' || concat(dag_graph_mermaid_text(label.name), label.items, '<br/>' || label.rule) || '"';
        class := case when colored then ':::' || (n ->> 'state') else '' end;
        if n ->> 'role' = 'dag' then
            lines := lines || (repeat('    ', depth + 1) || 'subgraph ' || (n ->> 'id') || '[' || title || ']');
            depth := depth + 1;
            if (n ->> 'empty')::boolean then
                lines := lines || (repeat('    ', depth + 1) || (n ->> 'id') || 'x["…"]');
            end if;
        else
            lines := lines || (repeat('    ', depth + 1) || (n ->> 'id') || case n ->> 'role'
                when 'external' then '{{' || title || '}}'
                when 'map' then '[[' || title || ']]'
                when 'sleep' then '([' || title || '])'
                else '[' || title || ']' end || class);
        end if;
    end loop;
    while depth > 0 loop
        lines := lines || (repeat('    ', depth) || 'end');
        depth := depth - 1;
    end loop;
    if (graph ->> 'more')::bigint > 0 then
        lines := lines || format('    more["… and %s more"]', graph ->> 'more');
    end if;
    lines := lines || array(
        select format('    %s %s%s %s', e ->> 'from', case when (e ->> 'soft')::boolean then '-.->' else '-->' end,
                      '|"' || dag_graph_mermaid_text(e ->> 'condition') || '"|', e ->> 'to')
        from jsonb_array_elements(graph -> 'edges') with ordinality x(e, place)
        order by place);
    if colored then
        lines := lines || array(
            select format('    classDef %s fill:%s,stroke:%s,color:%s', t.state, t.fill, t.stroke, t.color)
            from dag_theme(dag_mermaid.theme) t
            where t.state in (select e ->> 'state' from jsonb_array_elements(graph -> 'nodes') e where e ->> 'role' is distinct from 'dag'));
        lines := lines || array(
            select format('    style %s fill:none,stroke:%s,stroke-width:2px', e ->> 'id', t.stroke)
            from jsonb_array_elements(graph -> 'nodes') with ordinality x(e, place)
            join dag_theme(dag_mermaid.theme) t on t.state = e ->> 'state'
            where e ->> 'role' = 'dag'
            order by place);
    end if;
    return array_to_string(lines, e'\n') || e'\n';
end
$$;
comment on function dag_mermaid is 'A DAG as a Mermaid flowchart.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_named(dag_id, patterns): the nodes of a DAG with these names, or names that fit these patterns ("*" stands for
-- any characters). Raises PQ004 for one that fits none. Internal.
create function dag_named(dag_id bigint, patterns text[]) returns bigint[]
language plpgsql stable
as $$
#variable_conflict use_column
declare
    pattern text;
    fitting bigint[];
    found_all bigint[] := '{}';
begin
    foreach pattern in array patterns loop
        if strpos(pattern, '*') = 0 then
            fitting := array(select j.id from jobs j where j.dag_id = dag_named.dag_id and j.name = pattern);
        else
            fitting := array(
                select j.id from jobs j
                where j.dag_id = dag_named.dag_id and j.role is distinct from 'gate'
                  and j.name like replace(replace(replace(replace(pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%'));
        end if;
        if fitting = '{}' then
            raise exception using errcode = 'PQ004', message = format('DAG %s has no node %s', dag_named.dag_id, to_json(pattern));
        end if;
        found_all := found_all || fitting;
    end loop;
    return array(select distinct id from unnest(found_all) id order by id);
end
$$;
comment on function dag_named is 'Nodes of a DAG by names or patterns.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems(spec, dag_id): everything that is wrong with a DAG document, at once: which node (null: the DAG itself; nodes
-- without a name that can be shown are called nodes[0] ...), which of its fields, and the rule that it breaks.
-- No rows: dag_submit takes it. With the id of a DAG: a document that extends that one (dag_extend); its nodes may then
-- come after nodes that are there already, and before such as still wait.
-- The document's fields are listed in docs/dags.md and in dag_problems_fields. Locks nothing.
--
-- The nodes are read once, into arrays and into lists of those that need a closer look.
create function dag_problems(spec jsonb, dag_id bigint default null) returns table (node text, field text, rule text)
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = on set enable_nestloop = off set enable_mergejoin = off
set work_mem = '64MB' set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    is_extension constant boolean := dag_id is not null;
    document constant jsonb := case when jsonb_typeof(spec) = 'object' then spec - 'nodes' else spec end;
    nodes constant jsonb := case when jsonb_typeof(spec) = 'object' then spec -> 'nodes' end;
    other_fields constant text[] := array['name', 'after', 'args', 'metadata', 'payload', case when is_extension then 'before' end];
    smallest_max constant bigint := (select min(max_args_bytes) from queues);
    names text[];
    options jsonb[]; -- null: is no object
    afters jsonb[];
    befores jsonb[];
    special bigint[]; -- nodes with a type or rule
    odd bigint[]; -- that are no objects, or whose "after" is no array
    large bigint[]; -- with a payload, or that may be too large
    oddly_named bigint[]; -- whose names may be wrong, or have a slash
    subs bigint[];
    maps bigint[];
begin
    return query select null, p.field, p.rule from dag_problems_document(document, is_extension) p;
    if jsonb_typeof(spec) is distinct from 'object' then
        return;
    elsif jsonb_typeof(nodes) is distinct from 'array' then
        return query select null, 'nodes', 'must be a JSON array';
        return;
    elsif jsonb_array_length(nodes) not between 1 and 1000000 then
        return query select null, 'nodes', 'must be 1 to 1000000';
        return;
    end if;
    select array_agg(n.name), array_agg(n.options), array_agg(n.after),
           case when is_extension then array_agg(n.node -> 'before') end,
           coalesce(array_agg(n.index) filter (where n.options ?| '{type,rule}'), '{}'),
           coalesce(array_agg(n.index) filter (where n.options is null or jsonb_typeof(n.after) <> 'array'), '{}'),
           coalesce(array_agg(n.index) filter (where n.node ? 'payload' or pg_column_size(n.node) > smallest_max), '{}'),
           coalesce(array_agg(n.index) filter (
               where n.name is null or length(n.name) > 200
                  or n.name collate "C" !~ '^[^][()/{\u0001-\u001F\u007F-\u009F]+$'), '{}')
    into names, options, afters, befores, special, odd, large, oddly_named
    from (select index, value as node, value -> 'after' as after,
                 case when jsonb_typeof(value -> 'name') = 'string' then value ->> 'name' end as name,
                 case when jsonb_typeof(value) = 'object' then dag_problems_options(value, other_fields) end as options
          from jsonb_array_elements(nodes) with ordinality e(value, index) offset 0) n;
    subs := array(select i from unnest(special) i where options[i] ->> 'type' = 'dag');
    maps := array(select i from unnest(special) i where options[i] ->> 'type' = 'map');
    return query
        select case
                   when p.index is null then null
                   when length(names[p.index]) between 1 and 200
                        and names[p.index] collate "C" !~ '[\u0001-\u001F\u007F-\u009F]' then names[p.index]
                   else format('nodes[%s]', p.index - 1) end,
               p.field, p.rule
        from (select o.index, case when options[o.index] is null then 'node' else 'after' end as field,
                     case when options[o.index] is null then 'must be a JSON object' else 'must be a JSON array' end as rule
              from unnest(odd) o(index)
              union all
              select * from dag_problems_names(names, options, oddly_named, dag_problems.dag_id)
              union all
              select * from dag_problems_subs(
                  names, options, oddly_named, subs, dag_problems.dag_id,
                  case when jsonb_typeof(document -> 'output') = 'string' and not is_extension then document ->> 'output' end)
              union all
              select * from dag_problems_values(options, false)
              union all
              select * from dag_problems_bodies(
                  nodes, large, case
                      when is_extension then (select j.queue from jobs j where j.id = dag_problems.dag_id)
                      when jsonb_typeof(document -> 'queue') = 'string' then document ->> 'queue' end)
              union all
              select * from dag_problems_rules(options, afters, special)
              union all
              select * from dag_problems_links(
                  names, options, afters, oddly_named, subs, maps, dag_problems.dag_id)
              union all
              select * from dag_problems_befores(names, befores, dag_problems.dag_id)) p
        order by p.index nulls first;
end
$$;
comment on function dag_problems is 'Everything that is wrong with a DAG document.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_befores(names, befores, dag_id): what is wrong with what new nodes come before: that must be nodes that the DAG
-- has already, by name. Internal: dag_problems, to extend a DAG. Whether they still wait is not looked at.
create function dag_problems_befores(names text[], befores jsonb[], dag_id bigint)
returns table (index bigint, field text, rule text)
language sql stable
as $$
    select b.index, 'before', 'must be a JSON array'
    from unnest(befores) with ordinality b(before, index)
    where jsonb_typeof(b.before) <> 'array'
    union all
    select e.index, 'before', case
        when jsonb_typeof(e.entry) <> 'string' then format('must have names; %s is none', left(e.entry::text, 100))
        when starts_with(names[e.index], e.entry #>> '{}' || '/') then format('must not name %s, which it is in', dag_problems_label(e.entry))
        when count(*) > 1 then format('must not name %s twice', dag_problems_label(e.entry))
        else format('must name nodes that the DAG has already; %s is none', dag_problems_label(e.entry)) end
    from (select b.index, jsonb_array_elements(b.before) as entry
          from unnest(befores) with ordinality b(before, index)
          where jsonb_typeof(b.before) = 'array' offset 0) e
    group by e.index, e.entry
    having jsonb_typeof(e.entry) <> 'string' or count(*) > 1 or starts_with(names[e.index], e.entry #>> '{}' || '/')
        or not exists (
            select from jobs j
            where j.dag_id = dag_problems_befores.dag_id and j.name = e.entry #>> '{}' and j.role is distinct from 'gate' offset 0)
$$;
comment on function dag_problems_befores is 'What is wrong with what new nodes come before.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_bodies(nodes, large, dag_queue): which of the given nodes (large) have args that are too large for their queue,
-- or a payload that cannot be read. Internal: dag_problems.
create function dag_problems_bodies(nodes jsonb, large bigint[], dag_queue text) returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    node record;
    bytes bigint;
begin
    for node in
        select l.index, n.value -> 'args' as args, case jsonb_typeof(n.value -> 'payload') when 'string' then n.value ->> 'payload' end as payload,
               s.max_args_bytes
        from unnest(large) l(index)
        cross join lateral (select nodes -> (l.index - 1)::integer as value offset 0) n
        cross join lateral settings_of(
            coalesce(case jsonb_typeof(n.value -> 'queue') when 'string' then n.value ->> 'queue' end, dag_queue, 'default')) s
    loop
        begin
            bytes := coalesce(octet_length(decode(node.payload, 'base64')), pg_column_size(node.args));
        exception when data_exception then
            return query select node.index, 'payload', 'cannot be read as base64';
            continue;
        end;
        if bytes > node.max_args_bytes then
            return query select node.index, 'args', format('must be at most %s bytes', node.max_args_bytes);
        end if;
    end loop;
end
$$;
comment on function dag_problems_bodies is 'Nodes whose args are too large or whose payload cannot be read.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_broken(sets, types): the first rule that each set of options breaks, by itself; the sets may be null.
-- Raises a data exception when a field cannot be read. Internal: dag_problems_values.
-- The options that nodes share with other jobs are left to job_problem. Nodes that no handler runs have no kind.
create function dag_problems_broken(sets jsonb[], types text[]) returns table (index bigint, field text, rule text)
language sql stable
as $$
    select s.index, b.problem[1], b.problem[2]
    from unnest(sets, types) with ordinality s(options, type, index)
    cross join lateral jsonb_to_record(s.options) o(
        kind text, queue text, priority integer, delay interval, max_attempts integer, timeout interval, backoff jsonb,
        tags text[], metadata jsonb, ttl interval, result_ttl interval, codec text, payload text, args jsonb,
        rule text, at_least integer, "default" jsonb, over text, path text, "as" text, "window" integer, tolerate numeric,
        on_failure text, key text)
    cross join lateral (select case
        when s.type is null then array['type', 'must be job, dag, external, sleep or map']
        when o.rule not in ('all', 'any', 'at_least', 'done', 'none_failed', 'join', 'one_failed', 'all_failed', 'none_skipped')
            then array['rule', 'must be all, any, at_least, done, none_failed, join, one_failed, all_failed or none_skipped']
        when o.rule = 'at_least' and o.at_least is null then array['at_least', 'must be given with the rule at_least']
        when o.at_least is not null and o.rule is distinct from 'at_least' then array['at_least', 'must be given with the rule at_least only']
        when o.at_least < 1 then array['at_least', 'must be at least 1']
        when s.type = 'sleep' and o.delay is null then array['delay', 'must be given']
        when nullif(o.default, 'null') is not null and o.timeout is null then array['default', 'must not be given without a timeout']
        when s.type = 'map' and o.over is null then array['over', 'must be given']
        when o.path is not null and dag_problems_path(o.path, false) is not null then array['path', dag_problems_path(o.path, false)]
        when o."window" < 1 then array['window', 'must be at least 1']
        when o.tolerate not between 0 and 100 then array['tolerate', 'must be 0 to 100']
        when s.type = 'map' and nullif(o.args, 'null') is not null and o."as" is null
            then array['args', 'must not be given without as: the items are the args']
        when s.type = 'map' and nullif(o.args, 'null') is not null and jsonb_typeof(o.args) <> 'object'
            then array['args', 'must be a JSON object, to which as adds the items']
        when o.on_failure not in ('continue', 'cancel') then array['on_failure', 'must be continue or cancel']
        when length(o.key) not between 1 and 500 then array['key', 'must have 1 to 500 characters']
        else job_problem(
            case when s.type in ('job', 'map', 'document') then o.kind else '-' end, coalesce(o.queue, 'default'),
            coalesce(o.priority, 5), o.delay, null, o.max_attempts, o.timeout, nullif(o.backoff, 'null'), o.tags,
            nullif(o.metadata, 'null'), o.ttl, o.result_ttl, o.codec, case when o.payload is not null then ''::bytea end,
            nullif(o.args, 'null'))
        end as problem offset 0) b
    where s.options is not null and b.problem is not null
$$;
comment on function dag_problems_broken is 'First rule that each set of options breaks.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_cycle(names, cycle): a cycle for humans: a -> b -> a, begun with the node that is first in the document, whose
-- index it is; long ones are cut. One row always. Internal: dag_problems_order, which has two numbers for a sub-DAG.
create function dag_problems_cycle(names text[], cycle integer[], out index bigint, out path text)
language sql stable
as $$
    with steps as (
        select (vertex - 1) % cardinality(names) + 1 as node, place from unnest(cycle) with ordinality u(vertex, place)
    ), nodes as (
        select node, place
        from (select node, place, coalesce(lag(node) over (order by place), last_value(node) over ()) as before from steps) s
        where node <> before
    ), turned as (
        select node, row_number() over (order by place < (select place from nodes order by node limit 1), place) as place,
               count(*) over () as size
        from nodes
    )
    select min(node),
           string_agg(case when place = 11 and size > 20 then format('(%s more)', size - 19) else names[node] end, ' -> ' order by place)
           || ' -> ' || names[min(node)]
    from turned
    where size <= 20 or place <= 11 or place > size - 9
$$;
comment on function dag_problems_cycle is 'A cycle for humans.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_document(document, is_extension): what is wrong with a DAG document without its nodes. Internal: dag_problems.
-- A document that extends a DAG has nodes only.
create function dag_problems_document(document jsonb, is_extension boolean) returns table (field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    known constant text[] := '{name,key,queue,priority,deadline,on_failure,output,metadata,tags,result_ttl}';
    unknown text[];
begin
    if jsonb_typeof(document) is distinct from 'object' then
        return query select 'spec', 'must be a JSON object';
        return;
    end if;
    unknown := array(select key from jsonb_object_keys(document) key where key <> all(known));
    return query
        select left(key, 128), case when key = any(known) then 'must not be given to extend a DAG' else 'is not a field of a DAG' end
        from jsonb_object_keys(document) key
        where is_extension or key = any(unknown);
    if not is_extension then
        return query
            select case field when 'kind' then 'name' when 'ttl' then 'deadline' else field end, rule
            from dag_problems_values(array[
                document - unknown - '{name,deadline}'::text[]
                || jsonb_build_object('kind', document -> 'name', 'ttl', document -> 'deadline')], true);
    end if;
end
$$;
comment on function dag_problems_document is 'What is wrong with a DAG document without its nodes.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_entries(entries, parents, ids): the entries of "after" that cannot be read, or that name nothing that is there
-- (they have neither parent nor id); place is that in the array. Internal: dag_problems_links.
-- An entry is a name, or an object with a node or a job, and with soft and when if it likes.
create function dag_problems_entries(entries jsonb[], parents bigint[], ids bigint[])
returns table (place bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    paths constant text[] := array(
        select distinct e ->> 'when' from unnest(entries) e
        where jsonb_typeof(e) = 'object' and jsonb_typeof(e -> 'when') = 'string');
    path_problems constant text[] := array(select dag_problems_path(p, true) from unnest(paths) with ordinality u(p, i) order by i);
begin
    return query
        select e.place, 'after', case
            when dag_problems_job_of(e.entry) is not null then dag_problems_label(e.entry) || ' does not exist'
            when jsonb_typeof(e.entry) in ('string', 'object')
                then format('must name nodes of the DAG; %s is none', dag_problems_label(e.entry))
            else format('must have names and objects; %s is neither', dag_problems_label(e.entry)) end
        from unnest(entries, parents, ids) with ordinality e(entry, parent, id, place)
        where e.parent is null and e.id is null
          and (jsonb_typeof(e.entry) <> 'object'
               or (e.entry ? 'node') <> (e.entry ? 'job')
                  and (dag_problems_node_of(e.entry) is not null or dag_problems_job_of(e.entry) is not null));
    return query
        select e.place, p.field, format('%s, in %s', p.rule, dag_problems_label(e.entry))
        from (select entry, place from unnest(entries) with ordinality u(entry, place)
              where jsonb_typeof(entry) = 'object'
                and (entry - '{node,job,soft,when}'::text[] = '{}'
                     and case when entry ? 'job' then not entry ? 'node' and dag_problems_job_of(entry) is not null
                              else jsonb_typeof(entry -> 'node') = 'string' end
                     and coalesce(jsonb_typeof(entry -> 'soft') in ('boolean', 'null'), true)
                     and coalesce(jsonb_typeof(entry -> 'when') in ('string', 'null'), true)) is not true
              offset 0) e -- most are fine, which is seen at less cost
        cross join lateral (values
            (e.entry - '{node,job,soft,when}'::text[] <> '{}', 'after', 'must not have other fields than node, job, soft and when'),
            ((e.entry ? 'node') = (e.entry ? 'job'), 'after', 'must name either a node or a job'),
            (jsonb_typeof(e.entry -> 'node') <> 'string', 'after', 'must name a node by a string'),
            (e.entry ? 'job' and dag_problems_job_of(e.entry) is null, 'after', 'must name a job by a positive integer'),
            (jsonb_typeof(e.entry -> 'soft') not in ('boolean', 'null'), 'soft', 'must be true or false'),
            (jsonb_typeof(e.entry -> 'when') not in ('string', 'null'), 'when', 'must be a string')
        ) p(is_broken, field, rule)
        where p.is_broken;
    return query
        select e.place, 'when', format('%s, in %s', p.problem, dag_problems_label(e.entry))
        from unnest(entries) with ordinality e(entry, place)
        join unnest(paths, path_problems) p(path, problem) on p.path = e.entry ->> 'when'
        where jsonb_typeof(e.entry) = 'object' and jsonb_typeof(e.entry -> 'when') = 'string' and p.problem is not null;
end
$$;
comment on function dag_problems_entries is 'Entries of "after" that cannot be read or name nothing.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_fields(): the fields of a DAG document's nodes: the types of nodes that have them, what they are read as, and
-- what stands in for one that has been found wrong, so that it is not reported again as missing. Internal.
-- The type "document" stands for the DAG itself (dag_problems_document). Fields that tell how a node hangs
-- together with others (name, after, before) are looked at elsewhere (dag_problems_names, dag_problems_links).
create function dag_problems_fields() returns table (field text, types text[], form text, stand_in jsonb)
language sql immutable
as $$
    values ('type', '{job,dag,external,sleep,map}'::text[], 'text', null::jsonb),
           ('rule', '{job,dag,external,sleep,map}', 'text', null),
           ('at_least', '{job,dag,external,sleep,map}', 'integer', '1'),
           ('queue', '{job,dag,external,sleep,map,document}', 'text', null),
           ('priority', '{job,dag,external,sleep,map,document}', 'integer', null),
           ('tags', '{job,dag,external,sleep,map,document}', 'texts', null),
           ('metadata', '{job,dag,external,sleep,map,document}', 'jsonb', null),
           ('kind', '{job,map,document}', 'text', '"-"'),
           ('args', '{job,map}', 'jsonb', null),
           ('codec', '{job}', 'text', '"-"'),
           ('payload', '{job}', 'text', '""'),
           ('max_attempts', '{job,map}', 'integer', null),
           ('backoff', '{job,map}', 'jsonb', null),
           ('timeout', '{job,map,external}', 'interval', '"1 s"'),
           ('ttl', '{job,map,document}', 'interval', null),
           ('result_ttl', '{job,map,document}', 'interval', null),
           ('delay', '{job,map,sleep}', 'interval', '"1 s"'),
           ('default', '{external}', 'jsonb', null),
           ('over', '{map}', 'text', '"-"'),
           ('path', '{map}', 'text', null),
           ('as', '{map}', 'text', '"-"'),
           ('window', '{map}', 'integer', null),
           ('tolerate', '{map}', 'numeric', null),
           ('on_failure', '{document}', 'text', null),
           ('output', '{dag,document}', 'text', null),
           ('key', '{document}', 'text', null)
$$;
comment on function dag_problems_fields is 'Fields of the nodes of a DAG document.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_job_of(entry): the id of the job that an entry of "after" names: {"job": 123}; null when it names none, or
-- not by a positive integer. Internal, inlined.
create function dag_problems_job_of(entry jsonb) returns bigint
language sql immutable
as $$
    select case
        when jsonb_typeof(entry) <> 'object' or jsonb_typeof(entry -> 'job') <> 'number' then null
        when entry ->> 'job' ~ '^[1-9][0-9]{0,18}$' and (entry ->> 'job')::numeric <= 9223372036854775807
            then (entry ->> 'job')::bigint
    end
$$;
comment on function dag_problems_job_of is 'Job that an entry of "after" names.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_label(entry): an entry of "after" as problems quote it: "a", job 123, or what it is. Internal, inlined.
create function dag_problems_label(entry jsonb) returns text
language sql stable
as $$
    select coalesce(to_json(left(dag_problems_node_of(entry), 200))::text, 'job ' || dag_problems_job_of(entry), left(entry::text, 100))
$$;
comment on function dag_problems_label is 'An entry of "after" as problems quote it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_links(names, options, afters, oddly_named, subs, maps, dag_id): what is wrong with what nodes come after, and with
-- what maps map over; index is that of the node. Internal: dag_problems. To extend a DAG, its nodes may be named, too.
--
-- Mostly all entries of "after" are names of nodes of the document: first they are all read as such. If that is not so, they
-- are looked at one by one. (No name begins with a brace then: an entry's text cannot be taken for another's name.)
create function dag_problems_links(
    names text[], options jsonb[], afters jsonb[], oddly_named bigint[], subs bigint[], maps bigint[], dag_id bigint)
returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    children bigint[]; -- one element per entry of "after", then one per "over"
    parents bigint[]; -- the node of the document that the entry names; null when it names none
    entries jsonb[];
    ids bigint[]; -- the job that it names instead: by its id, or a node that the DAG has already
    last_after integer;
    is_ordered boolean; -- everything comes after earlier elements
    seen bigint[] := array_fill(0::bigint, array[cardinality(names)]);
begin
    select array_agg(e.child), array_agg(n.index), bool_and(n.index < e.child) into children, parents, is_ordered
    from (select a.index as child, jsonb_array_elements_text(a.after) as name
          from unnest(afters) with ordinality a(after, index)
          where jsonb_typeof(a.after) = 'array' offset 0) e
    left join unnest(names) with ordinality n(name, index) on n.name = e.name;
    if maps <> '{}' or array_position(parents, null) is not null
       or exists (select from unnest(oddly_named) o where starts_with(names[o], '{')) then
        select array_agg(e.child), array_agg(e.entry), count(*) filter (where not e.is_over) into children, entries, last_after
        from (select a.index as child, jsonb_array_elements(a.after) as entry, false as is_over
              from unnest(afters) with ordinality a(after, index)
              where jsonb_typeof(a.after) = 'array'
              union all
              select m.index, options[m.index] -> 'over', true
              from unnest(maps) m(index)
              where jsonb_typeof(options[m.index] -> 'over') = 'string') e;
        select array_agg(n.index order by e.place), bool_and(n.index < children[e.place]) into parents, is_ordered
        from (select place, dag_problems_node_of(entry) as name from unnest(entries) with ordinality u(entry, place) offset 0) e
        left join (select name, min(index) as index from unnest(names) with ordinality u(name, index) group by name) n on n.name = e.name;
        ids := array(
            select case when l.parent is null then coalesce(
                (select j.id from jobs j where j.id = dag_problems_job_of(l.entry) offset 0),
                (select j.id from jobs j
                 where j.dag_id = dag_problems_links.dag_id and j.name = dag_problems_node_of(l.entry)
                   and j.role is distinct from 'gate' offset 0)) end
            from unnest(entries, parents) with ordinality l(entry, parent, place) order by l.place);
        return query
            select children[p.place], case when p.place > last_after then 'over' else p.field end, p.rule
            from dag_problems_entries(entries, parents, ids) p;
        return query
            select l.child, 'after', format('must not name %s twice', dag_problems_label(entries[min(l.place)]))
            from unnest(children, ids) with ordinality l(child, id, place)
            where l.place <= last_after and l.id is not null
            group by l.child, l.id
            having count(*) > 1;
    end if;
    -- Hash joins hand out the children of a parent one after the other, so the last one seen will do.
    for i in 1 .. coalesce(last_after, cardinality(children), 0) loop
        if seen[parents[i]] = children[i] then
            return query select children[i], 'after', format('must not name %s twice', to_json(left(names[parents[i]], 200)));
        elsif parents[i] is not null then
            seen[parents[i]] := children[i];
        end if;
    end loop;
    if children is null or is_ordered and oddly_named = '{}' and dag_id is null then
        return; -- nothing depends on itself, there are no sub-DAGs to be in, and no cycles
    end if;
    return query
        select p.child, case when p.place > last_after then 'over' else 'after' end, p.rule
        from dag_problems_scopes(names, oddly_named, children, parents, ids, dag_id) p
        union all
        select p.* from dag_problems_order(names, subs, children, parents) p;
end
$$;
comment on function dag_problems_links is 'What is wrong with what nodes come after.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_names(names, options, oddly_named, dag_id): what is wrong with the names of nodes; index is that of the node.
-- Internal: dag_problems. Names that are no strings are null. Only those that are oddly named can be wrong in themselves.
create function dag_problems_names(names text[], options jsonb[], oddly_named bigint[], dag_id bigint)
returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
begin
    return query
        select p.index, 'name', p.rule
        from unnest(oddly_named) n(index)
        cross join lateral (select n.index, case
            when names[n.index] is null or length(names[n.index]) not between 1 and 200 then 'must be a string of 1 to 200 characters'
            when names[n.index] collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then 'must not have control characters'
            when names[n.index] ~ '[][()]' then 'must not have brackets or parentheses'
            when names[n.index] ~ '^/|//|/$' then 'must not have an empty part before or after a slash' end as rule) p
        where options[n.index] is not null and p.rule is not null;
    return query
        select min(n.index), 'name', format('is given to %s nodes', count(*))
        from unnest(names) with ordinality n(name, index)
        where n.name is not null
        group by n.name
        having count(*) > 1;
    if dag_id is not null then
        return query
            select n.index, 'name', 'is that of a node that exists already'
            from unnest(names) with ordinality n(name, index)
            where exists (select from jobs j where j.dag_id = dag_problems_names.dag_id and j.name = n.name offset 0);
    end if;
end
$$;
comment on function dag_problems_names is 'What is wrong with the names of nodes.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_node_of(entry): the node that an entry of "after" names: "a" or {"node": "a"}; null when it names none.
-- A number is as good as a string. Internal, inlined.
create function dag_problems_node_of(entry jsonb) returns text
language sql immutable
as $$
    select case jsonb_typeof(entry)
        when 'object' then case when jsonb_typeof(entry -> 'node') = 'string' then entry ->> 'node' end
        when 'array' then null
        else entry #>> '{}'
    end
$$;
comment on function dag_problems_node_of is 'Node that an entry of "after" names.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_options(node, other_fields): what nodes have in common with many others: all fields but the given ones, args,
-- payload and metadata among them. Of these only the types matter, and they only when something may be wrong with them; then
-- there are stand-ins. Internal, inlined: dag_problems.
-- A large DAG has few such sets of options, and each is looked at once (dag_problems_values).
create function dag_problems_options(node jsonb, other_fields text[]) returns jsonb
language sql stable
as $$
    select case
        when node ? 'payload' or jsonb_typeof(node -> 'metadata') <> 'object' or node ->> 'type' <> 'job' and node ? 'args'
            then node - other_fields || jsonb_strip_nulls(jsonb_build_object(
                'args', case when jsonb_typeof(node -> 'args') = 'object' then '{}' when jsonb_typeof(node -> 'args') <> 'null' then 'true'::jsonb end,
                'metadata', case jsonb_typeof(node -> 'metadata') when 'object' then '{}' else node -> 'metadata' end,
                'payload', case jsonb_typeof(node -> 'payload') when 'string' then '""' else node -> 'payload' end))
        else node - other_fields
    end
$$;
comment on function dag_problems_options is 'What a node has in common with many others.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_order(names, subs, children, parents): the nodes that are in a cycle: of cycles that share nodes one, by its
-- first node; with its path, parent before child. Internal: dag_problems_links. Children come after parents (null: no node of
-- the document); dependencies that are wrong in themselves (dag_problems_scopes) do not count.
--
-- A sub-DAG begins after all that it comes after, its nodes come after its beginning, and itself comes after its nodes. So it
-- has two vertices: its own number, for its end, and that plus the number of nodes, for its beginning.
-- When all dependencies are on earlier elements there is no cycle, and nothing more is done. A sub-DAG then counts as
-- beginning with the first and ending with the last of the nodes inside.
create function dag_problems_order(names text[], subs bigint[], children bigint[], parents bigint[])
returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    size constant integer := cardinality(names);
    is_sub boolean[] := array_fill(false, array[size]);
    scopes bigint[]; -- the innermost sub-DAG of each node
    firsts bigint[];
    lasts bigint[];
    froms integer[];
    tos integer[];
    span record;
    sub bigint;
begin
    if subs = '{}' then
        perform from unnest(children, parents) l(child, parent) where l.parent >= l.child limit 1;
    else
        select array_agg(s.index order by n.index) into scopes
        from (select index, case when strpos(name, '/') > 0 then left(name, -strpos(reverse(name), '/')) end as scope
              from unnest(names) with ordinality n(name, index)) n
        left join (select names[i] as name, min(i) as index from unnest(subs) i where names[i] is not null group by 1) s on s.name = n.scope;
        firsts := array(select generate_series(1::bigint, size));
        lasts := firsts;
        foreach sub in array subs loop
            is_sub[sub] := true;
            firsts[sub] := size + 1;
            lasts[sub] := 0;
        end loop;
        for span in
            select s.scope, min(s.index) as first, max(s.index) as last
            from unnest(scopes, is_sub) with ordinality s(scope, is_sub, index)
            where s.scope is not null and not s.is_sub
            group by s.scope
        loop
            firsts[span.scope] := span.first;
            lasts[span.scope] := span.last;
        end loop;
        foreach sub in array array(select i from unnest(subs) i order by length(names[i]) desc) loop -- inner ones first
            if scopes[sub] is not null then
                firsts[scopes[sub]] := least(firsts[scopes[sub]], firsts[sub]);
                lasts[scopes[sub]] := greatest(lasts[scopes[sub]], lasts[sub]);
            end if;
        end loop;
        perform from unnest(children, parents) l(child, parent) where lasts[l.parent] >= firsts[l.child] limit 1;
    end if;
    if not found then
        return;
    end if;

    select array_agg(l.parent), array_agg(case when is_sub[l.child] then l.child + size else l.child end)
    into froms, tos
    from unnest(children, parents) l(child, parent)
    where l.parent <> l.child
      and (scopes is null
           or not starts_with(names[l.child], names[l.parent] || '/') and not starts_with(names[l.parent], names[l.child] || '/'));
    if scopes is not null then
        select froms || array_agg(e.parent), tos || array_agg(e.child) into froms, tos
        from (select scope + size, case when is_sub[index] then index + size else index end
              from unnest(scopes) with ordinality s(scope, index) where scope is not null
              union all
              select index, scope from unnest(scopes) with ordinality s(scope, index) where scope is not null
              union all
              select i + size, i from unnest(subs) i) e(parent, child);
    end if;
    return query
        select p.index, 'after', 'is in a cycle: ' || p.path
        from dag_cycle(case when scopes is null then size else 2 * size end, coalesce(froms, '{}'), coalesce(tos, '{}')) cycle
        cross join lateral dag_problems_cycle(names, cycle) p;
end
$$;
comment on function dag_problems_order is 'Nodes that are in a cycle.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_path(path, predicate): what is wrong with a jsonpath, which is to be a predicate if that is asked for; null
-- when nothing is. Internal.
--
-- A predicate is true, false or unknown whatever it looks at. Anything else finds nothing in {}, or raises, or is no
-- boolean, and jsonb_path_match says so. Variables would raise even in silent mode, and not before they are looked at.
create function dag_problems_path(path text, predicate boolean) returns text
language plpgsql immutable
as $$
declare
    parsed jsonpath;
begin
    begin
        parsed := path::jsonpath;
    exception when data_exception or syntax_error_or_access_rule_violation or feature_not_supported or program_limit_exceeded then
        return format('must be a jsonpath: %s', left(sqlerrm, 200));
    end;
    if regexp_replace(parsed::text, '"([^"\\]|\\.)*"', '""', 'g') like '%$""%' then
        return 'must not have variables';
    elsif predicate then
        begin
            perform jsonb_path_match('{}', parsed, '{}', false);
        exception when data_exception then
            return 'must be a predicate, for example $.flag == true';
        end;
    end if;
    return null;
end
$$;
comment on function dag_problems_path is 'What is wrong with a jsonpath, or null.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_rules(options, afters, special): which of the given nodes have a rule that asks for more parents than
-- they have. Internal: dag_problems. A map comes after the node that it maps over, whether "after" names that or not.
create function dag_problems_rules(options jsonb[], afters jsonb[], special bigint[])
returns table (index bigint, field text, rule text)
language sql stable
as $$
    select n.index, case when n.parents = 0 then 'rule' else 'at_least' end, case
        when n.parents = 0 then format('%s needs nodes in after', n.options ->> 'rule')
        else format('must be at most %s, the number of nodes in after', n.parents) end
    from (select r.index, options[r.index] as options,
                 case when jsonb_typeof(afters[r.index]) = 'array' then jsonb_array_length(afters[r.index]) else 0 end
                 + case when options[r.index] ->> 'type' = 'map' and jsonb_typeof(options[r.index] -> 'over') = 'string'
                             and not coalesce(afters[r.index] @> jsonb_build_array(options[r.index] -> 'over'), false)
                             and not coalesce(afters[r.index] @> jsonb_build_array(jsonb_build_object('node', options[r.index] -> 'over')), false)
                        then 1 else 0 end as parents
          from unnest(special) r(index) where options[r.index] ? 'rule' offset 0) n
    where n.parents = 0 and n.options ->> 'rule' in ('any', 'at_least', 'join', 'one_failed', 'all_failed')
       or n.parents > 0 and n.options ->> 'rule' = 'at_least'
          and case when n.options ->> 'at_least' ~ '^[0-9]{1,10}$' then (n.options ->> 'at_least')::bigint > n.parents end
$$;
comment on function dag_problems_rules is 'Nodes whose rule asks for more parents than they have.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_scopes(names, oddly_named, children, parents, ids, dag_id): the dependencies of nodes on themselves, on the
-- sub-DAG that they are in, on nodes inside themselves, and on the DAG itself; place is that of the dependency.
-- Internal: dag_problems_links. Names with a slash are among the odd ones.
create function dag_problems_scopes(
    names text[], oddly_named bigint[], children bigint[], parents bigint[], ids bigint[], dag_id bigint)
returns table (child bigint, place bigint, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
begin
    return query
        select l.child, l.place, 'must not name itself'
        from unnest(children, parents) with ordinality l(child, parent, place)
        where l.child = l.parent;
    if oddly_named <> '{}' then
        return query
            select l.child, l.place, format('must not name %s, which %s', to_json(left(l.parent, 200)),
                                            case when starts_with(names[l.child], l.parent || '/') then 'it is in' else 'is in it' end)
            from (select child, names[parent] as parent, place
                  from unnest(children, parents) with ordinality l(child, parent, place)
                  union all
                  select l.child, j.name, l.place
                  from unnest(children, ids) with ordinality l(child, id, place)
                  cross join lateral (
                      select name from jobs j where j.id = l.id and j.dag_id = dag_problems_scopes.dag_id offset 0) j
                  where l.id is not null and dag_id is not null) l
            where starts_with(names[l.child], l.parent || '/') or starts_with(l.parent, names[l.child] || '/');
    end if;
    if dag_id is not null then
        return query
            select l.child, l.place, 'must not name the DAG itself'
            from unnest(children, ids) with ordinality l(child, id, place)
            where l.id = dag_problems_scopes.dag_id;
    end if;
end
$$;
comment on function dag_problems_scopes is 'Dependencies of nodes on themselves and what they are in.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_shapes(sets, types): the fields of sets of options that are not known, not for nodes of their type, or not
-- of the JSON type that they should be; index is that of the set. Internal: dag_problems_values.
-- JSON null stands for "not given".
create function dag_problems_shapes(sets jsonb[], types text[]) returns table (index bigint, field text, rule text)
language sql stable
as $$
    select s.index, left(v.key, 128), case
        when f.field is null then 'is not a field of a node'
        when s.type <> all(f.types) then format('is not a field of a node of type %s', s.type)
        when f.form = 'texts' then 'must be an array of strings'
        else 'must be a string' end
    from unnest(sets, types) with ordinality s(options, type, index)
    cross join lateral jsonb_each(s.options) v
    left join dag_problems_fields() f on f.field = v.key
    where f.field is null
       or jsonb_typeof(v.value) <> 'null'
          and (s.type <> all(f.types)
               or f.form = 'text' and jsonb_typeof(v.value) <> 'string'
               or f.form = 'texts' and (jsonb_typeof(v.value) <> 'array'
                                        or jsonb_path_exists(v.value, 'strict $[*] ? (@.type() <> "string")', '{}', true)))
$$;
comment on function dag_problems_shapes is 'Fields of sets of options that are unknown or of the wrong type.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_subs(names, options, oddly_named, subs, dag_id, dag_output): nodes that are in a sub-DAG that is none, sub-DAGs
-- (subs) without nodes, and outputs that are no nodes; index is that of the node, null for the DAG. Internal: dag_problems.
-- The output of a sub-DAG is named without the sub-DAG's own name. Names with a slash are among the odd ones.
create function dag_problems_subs(names text[], options jsonb[], oddly_named bigint[], subs bigint[], dag_id bigint, dag_output text)
returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
begin
    if oddly_named <> '{}' then
        return query
            select n.index, 'name', format('needs a node %s of type dag', to_json(left(n.scope, 200)))
            from (select index, left(names[index], -strpos(reverse(names[index]), '/')) as scope
                  from unnest(oddly_named) o(index) where strpos(names[index], '/') > 1) n
            where n.scope not in (select names[index] from unnest(subs) s(index) where names[index] is not null)
              and not exists (
                  select from jobs j
                  where j.dag_id = dag_problems_subs.dag_id and j.name = n.scope and j.role = 'dag' offset 0);
    end if;
    if subs <> '{}' then
        return query
            select s.index, 'type', format('dag needs nodes inside, with names like %s', to_json(left(names[s.index], 200) || '/a'))
            from unnest(subs) s(index)
            where names[s.index] not in (
                select left(names[index], -strpos(reverse(names[index]), '/'))
                from unnest(oddly_named) o(index) where strpos(names[index], '/') > 0);
    end if;
    return query
        select o.index, 'output', format('must name a node%s; %s is none',
                                         case when o.index is null then ' of the DAG' else ' inside' end, to_json(left(o.output, 200)))
        from (select null::bigint as index, '' as path, dag_output as output where dag_output is not null
              union all
              select s.index, names[s.index] || '/', options[s.index] ->> 'output'
              from unnest(subs) s(index) where jsonb_typeof(options[s.index] -> 'output') = 'string') o
        where o.path || o.output not in (select name from unnest(names) name where name is not null);
end
$$;
comment on function dag_problems_subs is 'What is wrong with sub-DAGs and outputs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_unreadable(sets): the fields of sets of options that cannot be read as what they are. Internal:
-- dag_problems_values. Tries field by field; called only when reading all at once has failed.
create function dag_problems_unreadable(sets jsonb[]) returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    entry record;
begin
    for entry in
        select s.index, f.field, f.form, s.options ->> f.field as value
        from unnest(sets) with ordinality s(options, index), dag_problems_fields() f
        where f.form in ('integer', 'interval', 'numeric') and s.options ->> f.field is not null
    loop
        begin
            execute format('select $1::%s', entry.form) using entry.value;
        exception when data_exception then
            return query select entry.index, entry.field, format('cannot be read as %s', entry.form);
        end;
    end loop;
end
$$;
comment on function dag_problems_unreadable is 'Fields of sets of options that cannot be read.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_values(options, is_document): the options (dag_problems_options) of nodes that are unknown, cannot be read or
-- break a rule by themselves; index is that of the node. Internal: dag_problems; also for the DAG's own options.
-- Nodes whose type is unknown are not looked into any further.
--
-- All different sets of options are read at once. What is found wrong is taken out, and those sets are looked at again,
-- until nothing new is found: so each field is reported once, and all of them are.
create function dag_problems_values(options jsonb[], is_document boolean) returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    sets constant jsonb[] := array(select distinct o from unnest(options) o where o is not null);
    types constant text[] := array(
        select case
            when is_document then 'document'
            when o -> 'type' in ('"job"', '"dag"', '"external"', '"sleep"', '"map"') then o ->> 'type'
            when o -> 'type' is null or o -> 'type' = 'null' then 'job' end
        from unnest(sets) o);
    looked_at jsonb[] := sets;
    wrong record;
    indexes bigint[];
    fields text[] := '{}';
    rules text[] := '{}';
begin
    select array_agg(p.index) as indexes, array_agg(p.field) as fields, array_agg(p.rule) as rules
    into wrong from dag_problems_shapes(sets, types) p;
    loop
        if wrong.indexes is not null then
            indexes := indexes || wrong.indexes;
            fields := fields || wrong.fields;
            rules := rules || wrong.rules;
            looked_at := dag_problems_without(looked_at, types, wrong.indexes, wrong.fields);
        end if;
        begin
            select array_agg(p.index) as indexes, array_agg(p.field) as fields, array_agg(p.rule) as rules
            into wrong from dag_problems_broken(looked_at, types) p
            where not exists (select from unnest(indexes, fields) w(index, field) where w.index = p.index and w.field = p.field);
            looked_at := array(
                select case when i = any(wrong.indexes) and types[i] is not null then o end
                from unnest(looked_at) with ordinality l(o, i));
        exception when data_exception then
            select array_agg(p.index) as indexes, array_agg(p.field) as fields, array_agg(p.rule) as rules
            into wrong from dag_problems_unreadable(looked_at) p;
            if wrong.indexes is null then
                raise;
            end if;
        end;
        exit when wrong.indexes is null;
    end loop;
    if indexes is not null then
        return query
            select n.index, w.field, w.rule
            from unnest(indexes, fields, rules) w(set, field, rule)
            join unnest(options) with ordinality n(options, index) on n.options = sets[w.set];
    end if;
end
$$;
comment on function dag_problems_values is 'Options of nodes that are unknown, unreadable or break a rule.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems_without(sets, types, indexes, fields): sets of options without the fields that are wrong; some have
-- stand-ins, so that they are not reported again as missing. Internal: dag_problems_values.
create function dag_problems_without(sets jsonb[], types text[], indexes bigint[], fields text[]) returns jsonb[]
language sql stable
as $$
    select array_agg(case when w.index is null then s.options else s.options - w.fields || w.stand_ins end order by s.index)
    from unnest(sets) with ordinality s(options, index)
    left join (
        select wrong.index,
               array_agg(wrong.field) || case when 'rule' = any(array_agg(wrong.field)) then array['at_least'] end as fields,
               coalesce(jsonb_object_agg(f.field, f.stand_in) filter (where f.stand_in is not null), '{}') as stand_ins
        from unnest(indexes, fields) wrong(index, field)
        left join dag_problems_fields() f on f.field = wrong.field and dag_problems_without.types[wrong.index] = any(f.types)
        group by wrong.index) w on w.index = s.index
$$;
comment on function dag_problems_without is 'Sets of options without the fields that are wrong.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_progress(dag_id): how far a DAG is. One row always; raises PQ004 when there is no such DAG. Locks nothing.
-- Counts jobs that a handler runs: items of maps as soon as they exist; no sub-DAGs, gates, maps, sleeps and answers.
-- fraction: those that have ended / total. elapsed: from the submission to the end, or to now.
--
-- remaining is an estimate: work left / parallelism, where
--   work left    = for each node that has not ended, the median duration of the node of that name in up to ten earlier
--                  runs of the same DAG name (completed ones and failed ones), less what it has been running for. Items
--                  of a map share a median, and a map that has not begun is taken to have as many as it had on average.
--                  Nodes that no earlier run knew, and those beyond 500 names, take the mean of the others.
--   parallelism  = time spent in handlers so far / time since the first start, or the number of jobs that run now if
--                  that is more.
-- Before anything has started it is the median time that the earlier runs took. Without an earlier run it is
-- jobs left * time since the first start / jobs that have ended. Zero when the DAG has ended; null when nothing is known.
-- Waiting for answers, times and retries is no work; nor is it known how many items an unknown map will have.
create function dag_progress(dag_id bigint)
returns table (
    total bigint, waiting bigint, scheduled bigint, ready bigint, running bigint, completed bigint, failed bigint,
    cancelled bigint, expired bigint, skipped bigint, fraction double precision, elapsed interval, remaining interval)
language plpgsql stable set search_path from current
set jit = off set work_mem = '32MB' set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    now constant timestamptz := statement_timestamp();
    root constant jobs := dag_graph_root(dag_progress.dag_id);
    ended_at constant timestamptz := (select finished_at from results where job_id = root.id);
    n record;
    pace record;
    spent double precision; -- since the first start, in seconds
    left_seconds double precision;
begin
    -- The places of the nodes are read in ranges: their ids are consecutive but for few gaps.
    with nodes as materialized (
        select id, name from jobs where dag_id = root.id and role is null
    ), islands as materialized (
        select min(id) as first, max(id) as last
        from (select id, id - row_number() over (order by id) as island from nodes) i
        group by island
    ), ended as materialized (
        select f.* from islands i cross join lateral (
            select job_id, state, claimed_at, finished_at from results where job_id between i.first and i.last offset 0) f
    ), leased as materialized (
        select r.job_id, r.claimed_at, j.name from islands i cross join lateral (
            select job_id, claimed_at from running where job_id between i.first and i.last offset 0) r
        cross join lateral (select name from jobs where id = r.job_id offset 0) j
    ), tallied as (
        select count(*) as ended,
               count(*) filter (where state = 'completed') as completed,
               count(*) filter (where state = 'failed') as failed,
               count(*) filter (where state = 'cancelled') as cancelled,
               count(*) filter (where state = 'expired') as expired,
               count(*) filter (where state = 'skipped') as skipped,
               sum(date_part('epoch', finished_at - claimed_at)) as busy,
               min(claimed_at) as first_start
        from ended
    ), maps_left as (
        select j.name, w.pending, m.total - m.expanded as missing
        from (select id, name from jobs where ended_at is null and dag_id = root.id and role = 'map' offset 0) j
        cross join lateral (select role, pending from waiting where job_id = j.id offset 0) v
        left join lateral (select total, expanded from maps where job_id = j.id and v.role = 'items' offset 0) m on true
        left join lateral (select v.pending where v.role = 'items') w on true
    ), lefts as (
        select array_agg(n.name) as names
        from nodes n
        where ended_at is null and right(n.name, 1) <> ']' and not exists (select from ended f where f.job_id = n.id)
    )
    select (select count(*) from nodes) as total, t.*, l.names,
           (select count(*) from islands i cross join lateral (
                select from scheduled where job_id between i.first and i.last offset 0) s) as scheduled,
           (select count(*) from islands i cross join lateral (
                select from waiting where job_id between i.first and i.last offset 0) w) as waiting,
           r.running, r.busy as busy_now, least(t.first_start, r.first_start) as first_start_of_all, r.names as running_names, r.elapsed,
           m.names as map_names, m.counts as map_counts, coalesce(m.missing, 0) as missing
    into n
    from tallied t, lefts l,
         (select count(*) as running, sum(date_part('epoch', greatest(now, claimed_at) - claimed_at)) as busy,
                 min(claimed_at) as first_start, array_agg(name) as names,
                 array_agg(date_part('epoch', greatest(now, claimed_at) - claimed_at)) as elapsed
          from leased) r,
         (select array_agg(name) as names, array_agg(pending) as counts, sum(missing) as missing from maps_left) m;

    spent := date_part('epoch', now - n.first_start_of_all);
    if ended_at is not null then
        left_seconds := 0;
    else
        select * into pace
        from dag_graph_pace(root.id, root.kind, n.names, n.map_names, n.map_counts, n.running_names, n.elapsed);
        left_seconds := case
            when spent is null then pace.took
            when pace.work is not null then
                pace.work / greatest((coalesce(n.busy, 0) + coalesce(n.busy_now, 0)) / nullif(spent, 0), n.running, 1e-3)
            when n.ended > 0 then (n.total - n.ended + n.missing) * spent / n.ended
        end;
    end if;
    return query
        select n.total, n.waiting, n.scheduled,
               n.total - n.ended - n.waiting - n.scheduled - n.running,
               n.running, n.completed, n.failed, n.cancelled, n.expired, n.skipped,
               coalesce(n.ended::double precision / nullif(n.total, 0), case when ended_at is null then 0 else 1 end),
               coalesce(ended_at, now) - root.created_at,
               make_interval(secs => case when left_seconds is not null then greatest(0, least(left_seconds, 1e10)) end);
end
$$;
comment on function dag_progress is 'How far a DAG is.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_refuse(spec, dag_id): raises PQ001 when something is wrong with a DAG document (dag_problems). The message spells out
-- five problems; DETAIL is a JSON array with the first hundred, {"node", "field", "rule"}; COLUMN is dag. Internal.
create function dag_refuse(spec jsonb, dag_id bigint default null) returns void
language plpgsql stable
as $$
declare
    refused record;
begin
    with problems as (
        select p.node, p.field, p.rule, row_number() over () as place from dag_problems(spec, dag_id) p
    )
    select count(*) as total,
           string_agg(concat_ws(' ', 'node ' || to_json(node)::text || ':', field, rule), '; ' order by place)
               filter (where place <= 5) as message,
           json_agg(json_build_object('node', node, 'field', field, 'rule', rule) order by place)
               filter (where place <= 100) as detail
    into refused
    from problems;
    if refused.total > 0 then
        raise exception using
            errcode = 'PQ001',
            message = 'dag: ' || refused.message || case when refused.total > 5 then format(' (and %s more)', refused.total - 5) else '' end,
            column = 'dag',
            detail = refused.detail::text;
    end if;
end
$$;
comment on function dag_refuse is 'Refuses a DAG document that has problems.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_reset(job_ids): lets nodes that have ended run again, in place: they wait for their parents anew, and so do those of
-- their descendants that were skipped, and the DAG and sub-DAGs they are in. Whatever else has ended stays as it is.
-- Maps among them whose source is reset, too, are expanded anew. Returns the jobs that were reset.
-- Internal: dag_retry, dag_fork and retry, which hold the locks of the chores and of the DAGs.
-- Locks: rows of waiting by job, what pin locks, then rows of results by job.
create function dag_reset(job_ids bigint[]) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    targets bigint[];
    touched bigint[];
    gone record;
begin
    -- As long as nothing that waits moves, no node is decided and no DAG ends: what is found now still holds below.
    perform w.job_id from waiting w
    where w.job_id = any(array(
        select m.id from jobs j join jobs m on m.dag_id = coalesce(j.dag_id, j.id) where j.id = any(job_ids)
        union select coalesce(j.dag_id, j.id) from jobs j where j.id = any(job_ids)))
    order by w.job_id for no key update;
    perform dag_forget_items(job_ids);
    with recursive reached as (
        select id from unnest(job_ids) id
        union
        select n.id
        from reached r
        cross join lateral (
            select e.child_id as id from edges e where e.parent_id = r.id
            union all
            select s.id from jobs m join jobs s on s.dag_id = m.dag_id and m.role = 'map'
                and s.name >= m.name || '[' and s.name < m.name || '\' where m.id = r.id
            union all
            select o.id from jobs j
            join jobs o on o.role = 'dag' and (o.id = j.dag_id or o.dag_id = j.dag_id and starts_with(j.name, o.name || '/'))
            where j.id = r.id) n
        join jobs j on j.id = n.id
        join results f on f.job_id = n.id
        where (j.dag_id is not null or j.role = 'dag')
          and (f.state = 'skipped' or j.role in ('dag', 'map'))
          and exists (select from jobs o where o.id = r.id and coalesce(o.dag_id, o.id) = coalesce(j.dag_id, j.id))
    )
    select array_agg(r.id order by r.id) into targets from reached r join results f on f.job_id = r.id;
    if targets is null then
        return '{}';
    end if;
    -- A node whose children stay as they are is waited for by its DAG or sub-DAG all the same.
    insert into edges (parent_id, child_id, soft)
    select j.id, sink_of(j.id), true
    from jobs j
    where j.id = any(targets) and j.dag_id is not null
      and not exists (select from edges e where e.parent_id = j.id and e.child_id = any(targets))
    on conflict do nothing;
    touched := array(
        select distinct e.child_id from edges e join waiting w on w.job_id = e.child_id
        where e.parent_id = any(targets) and e.child_id <> all(targets));
    perform w.job_id from waiting w where w.job_id = any(touched) order by w.job_id for no key update;
    perform pin(array(
        select distinct e.parent_id from edges e where e.child_id = any(targets) and e.parent_id <> all(targets)));
    perform f.job_id from results f where f.job_id = any(targets) order by f.job_id for update;
    -- A cancellation that is under way is withdrawn.
    update waiting w set ending = null, reason = null
    where w.ending is not null
      and w.job_id in (select e.child_id from edges e where e.parent_id = any(targets)
                       union select j.dag_id from jobs j where j.id = any(targets));
    perform expand_maps_of(targets);
    delete from frontier where parent_id = any(targets);
    -- What expires at this moment is locked, and looks at expires_at again.
    delete from expiries where ctid = any(array(
        select x.tid from jobs j
        cross join lateral (
            select e.ctid as tid from expiries e where e.expires_at = j.expires_at and e.job_id = j.id
            offset 0 for update skip locked) x
        where j.id = any(targets)));
    with reopened as (
        delete from results f where f.job_id = any(targets) returning f.job_id, f.attempt, f.queue
    ), extended as (
        update jobs j
        set max_attempts = case when j.role is null then greatest(coalesce(j.max_attempts, s.max_attempts), r.attempt + 1) end,
            expires_at = null
        from reopened r, settings_of(r.queue) s
        where j.id = r.job_id
    )
    select array_agg(r.job_id order by r.job_id) as ids, array_agg(r.attempt order by r.job_id) as attempts into gone from reopened r;
    perform rewait(gone.ids, gone.attempts);
    perform recount(touched);
    perform record_event('retry_requested', j.id, j.queue) from jobs j where j.id = any(gone.ids) and j.role is distinct from 'gate';
    insert into frontier (parent_id, first_child, last_child)
    select m.job_id, m.job_id, m.job_id from maps m where m.job_id = any(gone.ids) and m.expanded < m.total;
    perform judge(gone.ids || touched);
    return gone.ids;
end
$$;
comment on function dag_reset is 'Lets nodes that have ended run again, in place.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_result(job_id, node): the result of another node of the DAG to which a job belongs, or the state it is in. The name is
-- looked for in the job's own sub-DAG first, then in those around it. job_id may be the DAG's own job.
-- No row: there is no such node. Locks nothing.
create function dag_result(job_id bigint, node text)
returns table (parent_id bigint, name text, role text, state text, output jsonb, codec text, payload bytea, error text, cause_id bigint)
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    asking record;
    scope text;
    target bigint;
begin
    select j.id, coalesce(j.dag_id, j.id) as dag_id, j.name into asking from jobs j where j.id = dag_result.job_id;
    scope := coalesce(scope_of(asking.name), '');
    loop
        select j.id into target from jobs j
        where j.dag_id = asking.dag_id and j.name = case when scope = '' then dag_result.node else scope || '/' || dag_result.node end;
        exit when found or scope = '';
        scope := scope_of(scope);
    end loop;
    return query
        select j.id, j.name, j.role, s.state, f.output, f.codec, f.payload, f.error, f.cause_id
        from jobs j
        join job_states s on s.id = j.id
        left join results f on f.job_id = j.id
        where j.id = target;
end
$$;
comment on function dag_result is 'The result of a node.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_resume(dag_id): lets the nodes of a DAG start again that dag_hold held. Returns how many. Zero: it was not held.
-- A job that was to run at a later time starts at once, but a delay that is its own begins anew. Raises PQ004 for an unknown DAG.
-- Locks: the DAG; rows of waiting by job.
create function dag_resume(dag_id bigint) returns bigint
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    members bigint[];
begin
    perform lock_dag(dag_id);
    members := array(
        select w.job_id from waiting w
        where w.held and w.job_id in (select m.id from jobs m where m.dag_id = dag_resume.dag_id union all select dag_resume.dag_id)
        order by w.job_id for no key update);
    if members = '{}' then
        return 0;
    end if;
    update waiting w set held = false where w.job_id = any(members);
    perform record_event('resumed', j.id, j.queue) from jobs j where j.id = dag_resume.dag_id;
    perform judge(members);
    return cardinality(members) - 1;
end
$$;
comment on function dag_resume is 'Lets the nodes of a DAG start again.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_retry(dag_id, mode, nodes): runs parts of a DAG again, in place; what has succeeded is kept, items of maps as well.
--   failed      nodes that failed, were cancelled or expired, and what was skipped for that
--   downstream  the same, and all that comes after them
--   from        the nodes named, and all that comes after them
--   all         every node
-- nodes: names or patterns ("*"); for failed and downstream they choose among the failed ones (null: all of them).
-- Returns the jobs that were reset; none: there was nothing to do. Jobs that run or wait at the moment are left alone.
-- Raises PQ001 for a mode that is none of these, PQ004 for an unknown DAG or node.
-- Locks: the chores, the DAG, then what dag_reset locks.
create function dag_retry(dag_id bigint, mode text default 'failed', nodes text[] default null) returns setof bigint
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    chosen bigint[];
begin
    if mode is null or mode not in ('failed', 'downstream', 'from', 'all') then
        perform invalid('mode', 'must be failed, downstream, from or all');
    elsif mode = 'from' and coalesce(nodes, '{}') = '{}' then
        perform invalid('nodes', 'must name a node to retry from');
    end if;
    perform pg_advisory_xact_lock(advisory_key('chores'));
    perform lock_dag(dag_id);
    chosen := case when nodes is null then array(select j.id from jobs j where j.dag_id = dag_retry.dag_id)
                   else dag_named(dag_id, nodes) end;
    if mode in ('failed', 'downstream') then
        chosen := chosen || array(select m from members_of(chosen) m);
        chosen := array(
            select f.job_id from results f
            where f.job_id = any(chosen) and f.state in ('failed', 'cancelled', 'expired')
            order by 1);
    end if;
    if mode in ('from', 'downstream') then
        chosen := array(select d from dag_downstream(chosen || array(select m from members_of(chosen) m)) d);
    end if;
    return query select unnest(dag_reset(chosen));
end
$$;
comment on function dag_retry is 'Runs parts of a DAG again, in place.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_slowest(dag_id, at_most): the nodes of a DAG whose last attempts took longest, slowest first; those that are running
-- count with the time until now. Zero rows: nothing has been started. Raises PQ001 for at_most, PQ004 when there is no
-- such DAG. Reads all nodes of the DAG; locks nothing.
create function dag_slowest(dag_id bigint, at_most integer default 10)
returns table (name text, job_id bigint, kind text, state text, attempt integer, worker_id bigint, ran interval)
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    root constant jobs := dag_graph_root(dag_slowest.dag_id);
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query
        select j.name, j.id, j.kind, f.state, f.attempt, f.worker_id, f.ran
        from (select id, name, kind from jobs where dag_id = root.id offset 0) j
        cross join lateral (
            select state, attempt, worker_id, finished_at - claimed_at as ran
            from results
            where job_id = j.id and claimed_at is not null
            union all
            select 'running', attempt, worker_id, greatest(statement_timestamp(), claimed_at) - claimed_at
            from running
            where job_id = j.id) f
        order by f.ran desc, j.id
        limit at_most;
end
$$;
comment on function dag_slowest is 'The slowest nodes of a DAG.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_spec(type, node, queue, priority): what jobs.spec keeps of a node's JSON: what its role needs later; of a map also the
-- job that its items will be. Null when there is nothing. Internal.
create function dag_spec(type text, node jsonb, queue text, priority integer) returns jsonb
language plpgsql immutable
as $$
declare
    common constant text[] := '{name,type,after,before,rule,at_least}';
begin
    if type = 'job' then
        return jsonb_strip_nulls(jsonb_build_object('at_least', node -> 'at_least', 'delay', node -> 'delay'));
    elsif type = 'map' then
        return jsonb_strip_nulls(jsonb_build_object(
                   'over', node -> 'over', 'path', coalesce(node ->> 'path', '$[*]'), 'as', node -> 'as', 'window', node -> 'window',
                   'tolerate', node -> 'tolerate', 'at_least', node -> 'at_least'))
            || jsonb_build_object('item', node - common - '{over,path,as,window,tolerate}'::text[]
                                          || jsonb_build_object('queue', queue, 'priority', priority));
    end if;
    return node - '{name,type,after,before,rule,queue,priority,tags,metadata}'::text[];
end
$$;
comment on function dag_spec is 'What jobs.spec keeps of a node''s JSON.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_style(direction, max_nodes): raises PQ001 for options of a picture of a DAG that make none. Internal: dag_mermaid
-- and dag_dot.
create function dag_style(direction text, max_nodes integer) returns void
language plpgsql
as $$
begin
    if direction is null or direction not in ('TD', 'TB', 'BT', 'LR', 'RL') then
        perform invalid('direction', 'must be TD, TB, BT, LR or RL');
    elsif max_nodes is null or max_nodes not between 1 and 10000 then
        perform invalid('max_nodes', 'must be 1 to 10000');
    end if;
end
$$;
comment on function dag_style is 'Raises PQ001 for bad options of a picture.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_submit(spec): adds a DAG in the caller's transaction: its nodes, the edges between them, and the job
-- that stands for the DAG. Its id, and whether it was created: a DAG with the same name and key is returned as it is.
--
--   select dag_id from pgq.dag_submit('{"name": "etl", "nodes": [
--       {"name": "extract", "kind": "extract"},
--       {"name": "load", "kind": "load", "args": {"table": "t"}, "after": ["extract"]}]}');
--
-- The document's fields are listed in docs/dags.md. Raises PQ001 with all that is wrong with it (dag_problems); nothing is
-- written then. With a key it waits for a transaction under way that submits the same.
-- Locks: places of jobs outside of the DAG that nodes depend on (pin).
create function dag_submit(spec jsonb, out dag_id bigint, out created boolean)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_variable
declare
    kind constant text := spec ->> 'name';
    key constant text := spec ->> 'key';
    deadline interval;
    added bigint[];
begin
    created := false;
    select k.dag_id into dag_id from dag_keys k where k.kind = kind and k.key = key;
    if found then
        return;
    end if;
    perform dag_refuse(spec);
    dag_id := nextval('jobs_id_seq');
    if key is not null then
        insert into dag_keys (kind, key, dag_id) values (kind, key, dag_id) on conflict do nothing;
        if not found then
            select k.dag_id into dag_id from dag_keys k where k.kind = kind and k.key = key;
            return;
        end if;
    end if;
    created := true;
    deadline := (spec ->> 'deadline')::interval;
    insert into jobs (id, queue, kind, priority, result_ttl, expires_at, tags, metadata, role, spec)
    select dag_id, coalesce(d.queue, 'default'), kind, coalesce(d.priority, 5), d.result_ttl, now() + deadline,
           d.tags, nullif(d.metadata, 'null'), 'dag',
           jsonb_strip_nulls(jsonb_build_object('key', key, 'on_failure', spec -> 'on_failure', 'output', spec -> 'output'))
    from jsonb_to_record(spec) d(queue text, priority smallint, result_ttl interval, tags text[], metadata jsonb);
    if deadline is not null then
        insert into expiries (expires_at, job_id) values (now() + deadline, dag_id);
    end if;
    added := dag_add(dag_id, spec -> 'nodes');
    insert into waiting (job_id, queue, role, pending, need_ok, need_failed, max_failed, max_skipped)
    select dag_id, coalesce(spec ->> 'queue', 'default'), 'dag',
           (select count(*) from edges e where e.child_id = dag_id), 0, 0, 2147483647, 2147483647;
    perform record_event('submitted', dag_id, coalesce(spec ->> 'queue', 'default'), 0, null,
                         jsonb_build_object('nodes', cardinality(added)));
    perform judge(array(select w.job_id from waiting w where w.job_id = any(added) and (w.pending = 0 or w.eager)));
end
$$;
comment on function dag_submit is 'Adds a DAG in the caller''s transaction.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_theme(theme): the colours of a theme for pictures of DAGs: a row per state of a node: fill, stroke and text, as
-- #rrggbb. Themes: default, blue_professional, dark, pastel, high_contrast, grayscale; raises PQ001 for others.
-- held is a node that waits and is held.
create function dag_theme(theme text default 'default')
returns table (state text, fill text, stroke text, color text)
language plpgsql immutable set search_path from current
as $$
#variable_conflict use_column
declare
    states constant text[] := '{waiting,held,scheduled,ready,running,completed,failed,cancelled,expired,skipped,lost}';
    fills text[];
    strokes text[];
    colors text[]; -- the last one is that of all further states
begin
    case dag_theme.theme
        when 'default' then
            fills := '{f2f4f7,e9d7fe,e0eaff,fef0c7,b2ddff,a6f4c5,fda29b,eaaa08,f9dbaf,d0d5dd,ee46bc}';
            strokes := '{98a2b3,9e77ed,6172f3,f79009,1570ef,039855,d92d20,a15c07,b93815,667085,9e165f}';
            colors := '{1d2939}';
        when 'blue_professional' then
            fills := '{eaf2fb,d6dff0,c9dcf5,9cc4f0,3d85d8,1f4e8c,b3362b,8a94a6,8a94a6,dde3ec,b3362b}';
            strokes := '{7a9cc6,5b6f94,5f8fc9,3f7fc4,1b5aa5,0b2c57,701d15,5a6473,5a6473,a4afbf,000000}';
            colors := '{0b2c57,0b2c57,0b2c57,0b2c57,ffffff,ffffff,ffffff,ffffff,ffffff,0b2c57,ffffff}';
        when 'dark' then
            fills := '{30363d,3d2f5b,26344d,5c4813,1b4b82,1d5c34,7d2420,5a4a12,5e3a1a,262b31,7a1f5c}';
            strokes := '{6e7681,a98eda,6d8fc7,d9a520,58a6ff,3fb950,ff7b72,d0b030,e09150,484f58,f778ba}';
            colors := '{f0f6fc}';
        when 'pastel' then
            fills := '{f7f5f0,ece3f7,e3ecf9,fdf3d0,d3e9f8,d8f0dc,f9d9d6,f5e6c8,f8e1d1,e9e9ec,f7d6ea}';
            strokes := '{cfc8bb,c3aee0,aac0e4,e7cf88,92c1e3,9ad0a5,e6a09a,d9bd83,e0b294,bdbdc4,e09cc6}';
            colors := '{4a4a55}';
        when 'high_contrast' then
            fills := '{ffffff,ffffff,ffffff,ffff00,0000c8,006400,c80000,000000,000000,ffffff,c800c8}';
            strokes := '{000000,c800c8,0000c8,000000,000000,000000,000000,c80000,ff8c00,808080,000000}';
            colors := '{000000,000000,000000,000000,ffffff,ffffff,ffffff,ffffff,ffffff,000000,ffffff}';
        when 'grayscale' then
            fills := '{ffffff,ffffff,f0f0f0,dedede,b8b8b8,7d7d7d,1f1f1f,4d4d4d,4d4d4d,ececec,000000}';
            strokes := '{9a9a9a,000000,7a7a7a,5a5a5a,3a3a3a,2a2a2a,000000,000000,000000,bdbdbd,000000}';
            colors := '{000000,000000,000000,000000,000000,ffffff,ffffff,ffffff,ffffff,5a5a5a,ffffff}';
        else
            perform invalid('theme', 'must be default, blue_professional, dark, pastel, high_contrast or grayscale');
    end case;
    return query
        select u.state, '#' || u.fill, '#' || u.stroke, '#' || coalesce(u.color, colors[cardinality(colors)])
        from unnest(states, fills, strokes, colors) with ordinality u(state, fill, stroke, color, place)
        order by u.place;
end
$$;
comment on function dag_theme is 'The colours of a theme for pictures of DAGs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_upstream(job_id): the direct parents of a node, by name, with how they ended and their results. Of the first nodes in a
-- sub-DAG these are the parents of the sub-DAG. Parents outside of the DAG have the name of their kind. No rows: it has none.
-- For many parents (items of a map) see dag_items. Locks nothing.
create function dag_upstream(job_id bigint)
returns table (parent_id bigint, name text, role text, state text, output jsonb, codec text, payload bytea, error text, cause_id bigint)
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    return query
        with recursive parents as (
            select e.parent_id from edges e where e.child_id = dag_upstream.job_id
            union
            select e.parent_id
            from parents p
            join jobs g on g.id = p.parent_id and g.role = 'gate'
            join edges e on e.child_id = g.id
        )
        select j.id, coalesce(j.name, j.kind), j.role, s.state, f.output, f.codec, f.payload, f.error, f.cause_id
        from parents p
        cross join lateral (select * from jobs where jobs.id = p.parent_id offset 0) j
        cross join lateral (select state from job_states where job_states.id = j.id offset 0) s
        left join lateral (select * from results r where r.job_id = j.id offset 0) f on true
        where j.role is distinct from 'gate'
        order by j.id;
end
$$;
comment on function dag_upstream is 'Direct parents of a node with their results.';
-- +goose StatementEnd

-- +goose StatementBegin
-- decide(job_ids, verdicts): does what verdicts (run, skip) say with waiting jobs, except that of jobs which a handler
-- is to run (start_nodes). Internal: the caller has locked their rows of waiting and written their counters.
-- Returns the jobs that are finished by it.
create function decide(job_ids bigint[], verdicts text[]) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    finished bigint[];
    opening record;
begin
    with gone as (
        delete from waiting w
        where w.job_id = any(job_ids)
          and (w.role is null or w.role in ('dag', 'gate', 'items')
               or verdicts[array_position(job_ids, w.job_id)] = 'skip')
        returning w.*, verdicts[array_position(job_ids, w.job_id)] as verdict
    ), ended as materialized (
        select g.*, j.dag_id, j.name, j.result_ttl, j.rule, s.state,
               case when s.state in ('failed', 'skipped')
                         and (g.role in ('dag', 'items') or g.failed > g.max_failed or g.ok < g.need_ok)
                    then g.cause_id end as cause
        from gone g
        cross join lateral (select * from jobs where jobs.id = g.job_id offset 0) j
        cross join lateral (select case
            when g.ending is not null then g.ending
            when g.role is not distinct from 'dag' and j.dag_id is not null and gate_was_skipped(j.dag_id, j.name) then 'skipped'
            when g.role = 'dag' and g.failed > 0 then 'failed'
            when g.role = 'items' and g.verdict = 'skip' then 'failed'
            when g.verdict = 'skip' then 'skipped'
            else 'completed' end) s(state)
    ), added as (
        insert into results (job_id, queue, state, attempt, expires_at, error, dag_id, cause_id, output)
        select job_id, queue, state, attempt, now() + result_ttl,
               case when state <> 'completed' then coalesce(reason, skip_reason(cause, rule, ok, failed, skipped)) end,
               dag_id, cause,
               case when state = 'completed' then virtual_output(job_id, role, ok, failed) end
        from ended
    ), told as (
        insert into events (job_id, queue, type, attempt, data)
        select job_id, queue, state, attempt, jsonb_strip_nulls(jsonb_build_object('cause', cause))
        from ended
        where (state <> 'completed' or role <> 'gate') and wants_event(queue, role in ('dag', 'items') or state <> 'completed')
    )
    select coalesce(array_agg(job_id), '{}') into finished from ended;
    if cardinality(finished) < cardinality(job_ids) then
        for opening in
            select w.job_id, w.role from waiting w
            where w.job_id = any(job_ids) and w.role in ('external', 'sleep', 'map')
            order by w.job_id
        loop
            if (case opening.role when 'map' then begin_map(opening.job_id) else open_external(opening.job_id) end) then
                finished := finished || opening.job_id;
            end if;
        end loop;
    end if;
    perform notify_subscribers();
    return finished;
end
$$;
comment on function decide is 'Does what verdicts say with waiting jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- delete(job_ids): deletes jobs with all that is known of them, unless they run; a DAG that has ended with all its nodes.
-- Outcome per job: deleted, running (cancel it first), node (of a DAG: delete that), not_found. The children of a job
-- that had not ended take its deletion as a failure.
-- Locks: the DAGs; what withdraw locks, or rows of results by job.
create function delete(job_ids bigint[]) returns table (job_id bigint, outcome text)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    taken record;
    gone bigint[];
    moved bigint[];
begin
    perform lock_dags(job_ids);
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by p.place <> 'waiting', p.place loop
            if exists (select from jobs j where j.id = any(found_at.ids) and j.dag_id is not null) then
                return query select j.id, 'node' from jobs j where j.id = any(found_at.ids) and j.dag_id is not null;
                found_at.ids := array(select j.id from jobs j where j.id = any(found_at.ids) and j.dag_id is null order by j.id);
            end if;
            if found_at.place in ('running', 'waiting', 'not_found') then
                return query
                    select id, case found_at.place when 'waiting' then 'running' else found_at.place end
                    from unnest(found_at.ids) id;
                continue;
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
                continue;
            elsif found_at.place in ('ready', 'scheduled') then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into taken from withdraw(found_at.ids) w;
                -- Nobody can make them parents any more: those that are, are deleted from results, once all children know.
                if exists (select from edges e where e.parent_id = any(taken.ids)) then
                    perform settle(taken.ids, taken.queues, taken.attempts, 'cancelled', 'deleted');
                    moved := moved || found_at.ids;
                    continue;
                end if;
                gone := taken.ids;
            else
                with locked as materialized (
                    select f.job_id from results f
                    where f.job_id = any(found_at.ids)
                      and f.job_id <> all(untold_jobs())
                    order by f.job_id for update
                ), removed as (
                    delete from results f where f.job_id = any(array(select l.job_id from locked l)) returning f.job_id
                )
                select coalesce(array_agg(r.job_id), '{}') into gone from removed r;
            end if;
            perform forget(gone || forget_members(gone));
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
-- deliver(parents, first_children, last_children, quiet): tells the children of finished jobs how these ended, and decides the
-- children that can be decided. Internal: propagate. Children with ids in the given range of each parent are told.
-- Returns the children that are finished by it (skipped, or jobs that no handler runs): their children are next.
--
-- Called in a statement after the one that finished the parents: its snapshot sees the edges that were added while
-- that one waited for the parents' rows. It never waits: a child whose row somebody else has locked is left to
-- the frontier, and so are the children of one parent beyond 5,000; a worker is asked to see to it, unless quiet.
-- Locks: rows of waiting in the order of their ids, skipping those that others have locked.
create function deliver(parents bigint[], first_children bigint[], last_children bigint[], quiet boolean default false) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    decided record;
begin
    with told as materialized (
        select e.parent_id, e.child_id, p.last_child, coalesce(f.cause_id, f.job_id) as cause_id,
               edge_outcome(f.state, f.cause_id, f.output, e.soft, e.condition) as outcome
        from unnest(parents, first_children, last_children) p(id, first_child, last_child)
        cross join lateral (
            select * from edges
            where parent_id = p.id and child_id between p.first_child and p.last_child
            order by child_id
            limit 5001) e
        cross join lateral (select f.* from results f where f.job_id = e.parent_id offset 0) f
    ), wide as materialized (
        select parent_id, max(child_id) as next_child, max(last_child) as last_child
        from told
        where (select count(*) from told) > 5000
        group by parent_id
        having count(*) > 5000
    ), news as materialized (
        select child_id, count(*)::integer as pending,
               (count(*) filter (where outcome = 'ok'))::integer as ok,
               (count(*) filter (where outcome = 'failed'))::integer as failed,
               (count(*) filter (where outcome = 'skipped'))::integer as skipped,
               min(cause_id) filter (where outcome = 'failed') as cause_id
        from told
        where not exists (select from wide w where w.parent_id = told.parent_id and w.next_child = told.child_id)
        group by child_id
    ), locked as materialized (
        select w.job_id, w.role, w.held, w.attempt, w.ending, w.pending - n.pending as pending, w.ok + n.ok as ok,
               w.failed + n.failed as failed, w.skipped + n.skipped as skipped,
               w.need_ok, w.need_failed, w.max_failed, w.max_skipped, w.eager,
               coalesce(w.cause_id, n.cause_id) as cause_id
        from (select * from news order by child_id) u
        cross join lateral (
            select * from waiting w where w.job_id = u.child_id offset 0 for no key update skip locked) w
        -- A map under way waits for its items only, an external node that was reached for none of its parents any more.
        cross join lateral (
            select u.pending, u.ok, u.failed, u.skipped, u.cause_id where w.role is null or w.role not in ('items', 'signal')
            union all
            select count(*)::integer, (count(*) filter (where outcome = 'ok'))::integer,
                   (count(*) filter (where outcome = 'failed'))::integer, (count(*) filter (where outcome = 'skipped'))::integer,
                   min(t.cause_id) filter (where outcome = 'failed')
            from told t
            where w.role in ('items', 'signal') and t.child_id = w.job_id and is_item(t.parent_id, w.job_id)
            having w.role in ('items', 'signal')) n
    ), left_over as (
        insert into frontier (parent_id, first_child, last_child)
        select t.parent_id, t.child_id, t.child_id
        from told t
        where (select count(*) from locked) < (select count(*) from news)
          and t.child_id <> all(array(select job_id from locked))
          and exists (select from waiting w where w.job_id = t.child_id)
          and not exists (select from wide w where w.parent_id = t.parent_id and w.next_child = t.child_id)
        union all
        select parent_id, next_child, last_child from wide
        on conflict (parent_id, first_child) do update set last_child = greatest(frontier.last_child, excluded.last_child)
        returning 1
    ), judged as materialized (
        select *, node_verdict(pending, ok, failed, skipped, need_ok, need_failed, max_failed, max_skipped, eager,
                               held and (role is null or role not in ('dag', 'items'))) as verdict
        from locked
    ), kept as materialized (
        select array_agg(job_id order by job_id) as ids, array_agg(pending order by job_id) as pending,
               array_agg(ok order by job_id) as ok, array_agg(failed order by job_id) as failed,
               array_agg(skipped order by job_id) as skipped, array_agg(cause_id order by job_id) as causes
        from judged
        where role is not null or verdict is distinct from 'run'
    )
    select (select ids from kept) as ids, (select pending from kept) as pending, (select ok from kept) as ok,
           (select failed from kept) as failed, (select skipped from kept) as skipped, (select causes from kept) as causes,
           array_agg(job_id) filter (where verdict = 'run' and role is null) as starting,
           array_agg(job_id) filter (where verdict is not null and not (verdict = 'run' and role is null)) as others,
           array_agg(verdict) filter (where verdict is not null and not (verdict = 'run' and role is null)) as verdicts,
           exists (select from left_over) as left_over,
           array_agg(job_id) filter (where verdict is null and role = 'items') as maps
    into decided
    from judged;
    if decided.ids is not null then
        -- By "= any", as in complete: a join might walk all of waiting, which the planner takes for empty at times.
        update waiting w
        set pending = decided.pending[width_bucket(w.job_id, decided.ids)], ok = decided.ok[width_bucket(w.job_id, decided.ids)],
            failed = decided.failed[width_bucket(w.job_id, decided.ids)],
            skipped = decided.skipped[width_bucket(w.job_id, decided.ids)],
            cause_id = decided.causes[width_bucket(w.job_id, decided.ids)]
        where w.job_id = any(decided.ids);
    end if;
    if decided.left_over and not quiet then
        perform wake_chores();
    end if;
    return carry_out(decided.starting, decided.others, decided.verdicts, decided.maps);
end
$$;
comment on function deliver is 'Tells the children of finished jobs how these ended.';
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
-- do_chores(): what has to be done now and then by any worker, one at a time: promote, expire, rescue, prune, and telling
-- children of what their parents came to where the verb that finished these left it (propagate_frontier).
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
    -- In transactions of its own; twice a second the others have their turn.
    if exists (select from frontier) and not chore_is_due('round', interval '500 ms') then
        return case when propagate_frontier() > 0 then 0 else 20 end;
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
    if more or exists (select from frontier) then
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
-- doom_dags(job_ids): lets the chores cancel what is left of DAGs with on_failure "cancel" which fail for sure because of these
-- jobs (doomed_dags). Internal.
create function doom_dags(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    doomed bigint[];
begin
    select array_agg(distinct id) into doomed from doomed_dags(job_ids) id;
    if doomed is not null then
        insert into expiries (expires_at, job_id) select now(), id from unnest(doomed) id on conflict do nothing;
        perform wake_chores();
    end if;
end
$$;
comment on function doom_dags is 'Lets the chores cancel what is left of DAGs that fail fast.';
-- +goose StatementEnd

-- +goose StatementBegin
-- doomed_dags(job_ids): the DAGs under way with on_failure "cancel" that fail for sure because one of these jobs has failed, or was
-- skipped for a failure: whatever else happens, that will show in all nodes on some way from there to the DAG itself.
-- As long as some node may still make up for it the DAG is none of them. Internal: doom_dags, and fail_dag, which asks
-- again: the node may have been retried since.
create function doomed_dags(job_ids bigint[]) returns setof bigint
language sql stable
as $$
    with recursive failing as (
        select f.job_id as id, f.dag_id
        from results f
        cross join lateral (select spec from jobs where jobs.id = f.dag_id offset 0) d
        where f.job_id = any(job_ids)
          and (f.state in ('failed', 'cancelled', 'expired') or f.state = 'skipped' and f.cause_id is not null)
          and d.spec ->> 'on_failure' = 'cancel'
          and exists (select from waiting w where w.job_id = f.dag_id and w.ending is null)
        union
        select c.id, f.dag_id
        from failing f
        join edges e on e.parent_id = f.id and not e.soft
        cross join lateral (select id, dag_id, role, rule from jobs where jobs.id = e.child_id offset 0) c
        where coalesce(c.dag_id, c.id) = f.dag_id
          and (c.role = 'dag' or c.rule in ('all', 'none_failed', 'join') and not is_item(f.id, c.id))
          and not exists (select from results r where r.job_id = c.id and r.state = 'completed')
    )
    select distinct dag_id from failing where id = dag_id
$$;
comment on function doomed_dags is 'DAGs that fail fast and will have failed.';
-- +goose StatementEnd

-- +goose StatementBegin
-- edge_outcome(state, cause_id, output, soft, condition): what a finished parent means to a child: ok, failed, or
-- skipped. A condition that does not hold skips; a soft edge makes everything else ok. A parent that was
-- skipped because of a failure counts as failed: failures are not laundered on their way down. No output can make it
-- raise: the operator @@ would, for times with and without a zone. Internal, inlined.
create function edge_outcome(state text, cause_id bigint, output jsonb, soft boolean, condition jsonpath)
returns text
language sql stable
as $$
    select case
        when state = 'completed' and condition is not null and not coalesce(jsonb_path_match_tz(output, condition, '{}', true), false) then 'skipped'
        when state = 'completed' or soft then 'ok'
        when state = 'skipped' and cause_id is null then 'skipped'
        else 'failed'
    end
$$;
comment on function edge_outcome is 'What a finished parent means to a child.';
-- +goose StatementEnd

-- +goose StatementBegin
-- end_attempts(worker_id, job_ids, attempts, verdict, delays, errors, details): ends attempts that the worker
-- holds in any way but success. Internal: fail, snooze, release and rescue are its forms.
-- Verdicts: retry (failed; again while attempts are left), fail (failed for good), cancel,
-- snooze (again after the delay; the attempt does not count), release (again now; does not count).
-- A job whose cancellation was asked for is cancelled whatever the verdict.
-- Returns the jobs that were ended and where they are now: ready, scheduled, failed or cancelled.
-- A missing job: its lease is lost; nothing was changed for it.
-- Locks: rows of running in the order of their ids; then what propagate locks.
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
    done record;
begin
    select array_agg(u.id order by u.id), array_agg(u.attempt order by u.id), array_agg(u.place::integer order by u.id)
    into ids, numbers, places
    from unnest(job_ids, attempts) with ordinality u(id, attempt, place)
    where u.id is not null;
    -- By "= any", without bitmaps, the rows are found by their keys and locked in the order of them; a join might
    -- walk all of running, dead rows included.
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
        select e.job_id, e.queue, e.attempt, e.claimed_at, e.result_ttl, e.dag_id, e.verdict, e.error, e.detail,
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
        insert into results (job_id, queue, state, attempt, worker_id, claimed_at, finished_at, expires_at, error, dag_id)
        select job_id, queue, outcome, attempt, end_attempts.worker_id, claimed_at, now, now + result_ttl, error, dag_id
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
    select array_agg(job_id) as ids, array_agg(outcome) as outcomes,
           array_agg(job_id) filter (where outcome in ('failed', 'cancelled')) as finished
    into done
    from judged;
    if exists (select from edges e where e.parent_id = any(done.finished)) then
        perform doom_dags(done.finished);
        perform propagate(done.finished);
    end if;
    return query select id, o from unnest(done.ids, done.outcomes) u(id, o);
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
-- end_dags(job_ids, ending, reason): lets DAGs, sub-DAGs and maps under way among these jobs end in this state once
-- nothing of them runs any more, whatever their nodes come to. Internal: the caller ends their members afterwards;
-- none is added meanwhile. Ones that have ended are left alone.
-- Locks: their rows of waiting in the order of their ids.
create function end_dags(job_ids bigint[], ending text, reason text) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    targets constant bigint[] := array(
        select id from unnest(job_ids) id
        union
        select m from members_of(job_ids) m join jobs j on j.id = m and j.role in ('dag', 'map'));
    cut bigint[];
begin
    perform w.job_id from waiting w where w.job_id = any(targets) order by w.job_id for no key update;
    update waiting w set ending = end_dags.ending, reason = end_dags.reason
    where w.job_id = any(targets) and w.role in ('dag', 'items') and w.ending is null;
    -- Items that do not exist yet will not.
    with shortened as (
        update maps m set total = m.expanded
        from (select job_id, total - expanded as missing from maps where job_id = any(targets)) b
        where m.job_id = b.job_id and b.missing > 0
          and exists (select from waiting w where w.job_id = m.job_id)
        returning m.job_id, b.missing
    ), counted as (
        update waiting w set pending = w.pending - s.missing
        from shortened s where w.job_id = s.job_id
        returning w.job_id, w.pending
    )
    select array_agg(job_id) filter (where pending = 0) into cut from counted;
    if cut is not null then
        perform propagate(decide(cut, array_fill('skip'::text, array[cardinality(cut)])));
    end if;
end
$$;
comment on function end_dags is 'Lets DAGs and maps under way end in a given state.';
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
-- expand_map(job_id): adds the next 2,000 jobs of a map, and leaves the rest to the chores. Items beyond the map's window
-- wait until others are done (release_items). Internal: begin_map and propagate_frontier. Does nothing for a map that is
-- not there or was cancelled.
-- Locks: the map's row of waiting; it is left to the frontier if others have it.
create function expand_map(job_id bigint) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    batch constant integer := 2000;
    map record;
    source jsonb;
    items bigint[];
begin
    select w.job_id, w.held, w.ending, w.pending, w.failed > w.max_failed as doomed,
           m.source_id, m.total, m.expanded, j.dag_id, j.name, j.spec
    into map
    from waiting w
    join maps m on m.job_id = w.job_id
    join jobs j on j.id = w.job_id
    where w.job_id = expand_map.job_id and w.role = 'items'
    for no key update of w, m skip locked;
    if not found then
        insert into frontier (parent_id, first_child, last_child)
        select expand_map.job_id, expand_map.job_id, expand_map.job_id
        where exists (select from waiting w where w.job_id = expand_map.job_id and w.role = 'items')
        on conflict do nothing;
        return;
    elsif map.ending is not null then
        return;
    elsif map.expanded = map.total then
        perform release_items(map.job_id);
        return;
    elsif map.doomed then
        update maps m set total = expanded where m.job_id = map.job_id;
        update waiting w set pending = w.pending - (map.total - map.expanded) where w.job_id = map.job_id;
        perform release_items(map.job_id);
        if map.pending = map.total - map.expanded then
            perform propagate(decide(array[map.job_id], array['skip']));
        end if;
        return;
    end if;
    select jsonb_path_query_array(f.output, (map.spec ->> 'path')::jsonpath) into source from results f where f.job_id = map.source_id;
    items := array(select nextval('jobs_id_seq') from generate_series(1, least(batch, map.total - map.expanded)));
    insert into jobs (id, queue, kind, priority, max_attempts, timeout, backoff, expires_at, tags, metadata, args,
                      dag_id, name, rule, spec)
    select items[e.place], t.queue, t.kind, t.priority, t.max_attempts, t.timeout, t.backoff, now() + t.ttl,
           t.tags, nullif(t.metadata, 'null'),
           case when map.spec ->> 'as' is null then e.value
                else coalesce(nullif(t.args, 'null'), '{}') || jsonb_build_object(map.spec ->> 'as', e.value) end,
           map.dag_id, format('%s[%s]', map.name, map.expanded + e.place - 1), 'all',
           jsonb_strip_nulls(jsonb_build_object('map', map.job_id, 'delay', map.spec -> 'item' -> 'delay'))
    from (select row_number() over (order by ordinality) as place, value
          from jsonb_array_elements(source) with ordinality
          where ordinality > map.expanded and ordinality <= map.expanded + cardinality(items)) e,
         jsonb_to_record(map.spec -> 'item') t(
             queue text, kind text, priority smallint, max_attempts integer, timeout interval, backoff jsonb,
             ttl interval, tags text[], metadata jsonb, args jsonb);
    insert into expiries (expires_at, job_id)
    select j.expires_at, j.id from jobs j where j.id = any(items) and j.expires_at is not null;
    insert into edges (parent_id, child_id) select id, map.job_id from unnest(items) id;
    insert into waiting (job_id, queue, pending, held, need_ok, need_failed, max_failed, max_skipped)
    select id, map.spec -> 'item' ->> 'queue', 1, map.held, 0, 0, 0, 0 from unnest(items) id;
    update maps m
    set expanded = map.expanded + cardinality(items),
        next_item = case when m.next_item = 0 then items[1] else m.next_item end
    where m.job_id = map.job_id;
    if map.expanded + cardinality(items) < map.total then
        insert into frontier (parent_id, first_child, last_child) values (map.job_id, map.job_id, map.job_id)
        on conflict do nothing;
        perform wake_chores();
    end if;
    perform release_items(map.job_id);
end
$$;
comment on function expand_map is 'Adds the next jobs of a map.';
-- +goose StatementEnd

-- +goose StatementBegin
-- expand_maps_of(source_ids): adds at once all items that are left of maps under way over the results of these jobs, which are
-- about to run again: maps under way keep the result that they began with. Internal: dag_reset, which holds the maps' rows
-- of waiting.
create function expand_maps_of(source_ids bigint[]) returns void
language plpgsql
as $$
declare
    map_id bigint;
begin
    for map_id in
        select m.job_id from maps m join waiting w on w.job_id = m.job_id
        where m.source_id = any(source_ids) and m.expanded < m.total and w.ending is null
        order by m.job_id
    loop
        while exists (select from maps m where m.job_id = map_id and m.expanded < m.total) loop
            perform expand_map(map_id);
        end loop;
    end loop;
end
$$;
comment on function expand_maps_of is 'Adds all items that are left of maps over results that will be gone.';
-- +goose StatementEnd

-- +goose StatementBegin
-- expire(at_most): does what is due for up to at_most entries of expiries: finishes jobs as expired whose time to live has
-- passed before they were started (others are left alone), ends DAGs whose deadline has passed or that fail fast and
-- have failed, completes nodes that slept long enough, and ends external nodes that nobody answered in time.
-- Returns how many entries were looked at.
-- Locks: rows of expiries, skipping those that others have locked; DAGs; what withdraw_waiting and withdraw lock.
create function expire(at_most integer default 1000) returns integer
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    due bigint[];
    late bigint[];
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
    if due = '{}' then
        return 0;
    end if;
    perform lock_dags(due);
    perform expire_dags(due);
    late := array(select j.id from jobs j where j.id = any(due) and j.role is null and j.expires_at <= now());
    -- A job whose run somebody splits at the same moment is missed once: look again at what still waits.
    for round in 1 .. 100 loop
        exit when late = '{}';
        perform keep_waited(array(select w.job_id from waiting w where w.job_id = any(late) and w.attempt = 0));
        select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
               array_agg(w.queue order by w.job_id) as queues,
               array_agg(w.attempt order by w.job_id) as attempts
        into gone
        from (select job_id, queue, attempt from withdraw_waiting(late, true)
              union all select job_id, queue, attempt from withdraw(late, true)) w;
        perform settle(gone.ids, gone.queues, gone.attempts, 'expired', 'not started within its time to live');
        late := array(
            select s.id from job_states s
            where s.id = any(late) and s.state in ('waiting', 'ready', 'scheduled') and s.attempt = 0);
    end loop;
    if late <> '{}' then
        perform too_busy(late);
    end if;
    return cardinality(due);
end
$$;
comment on function expire is 'Finishes jobs as expired whose time to live has passed.';
-- +goose StatementEnd

-- +goose StatementBegin
-- expire_dags(job_ids): what is due among jobs that no handler runs: a DAG past its deadline ends as expired, one that fails
-- fast as failed; a node that slept is completed; an external node gets its default answer, or has failed.
-- Internal: expire, which holds the DAGs' locks.
create function expire_dags(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    due record;
begin
    for due in
        select j.id, j.role, j.dag_id, j.spec, j.expires_at <= now() as is_late
        from jobs j
        join waiting w on w.job_id = j.id
        where j.id = any(job_ids) and j.role is not null
        order by j.id
    loop
        if due.role = 'dag' and due.is_late then
            perform end_dags(array[due.id], 'expired', 'deadline passed');
            perform cancel_all(array(select m from members_of(array[due.id]) m), 'deadline passed');
        elsif due.role = 'dag' then
            perform fail_dag(due.id);
        elsif due.is_late and due.role = 'sleep' then
            perform answer_node(due.id, null, null);
        elsif due.is_late and due.role = 'external' then
            perform answer_node(due.id, due.spec -> 'default', case when due.spec ? 'default' then null else 'nobody answered in time' end);
        end if;
    end loop;
end
$$;
comment on function expire_dags is 'Does what is due among jobs that no handler runs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_age(age): an interval in plain words: "0.4 s", "41 s", "12 min", "5 h", "3 days". Internal.
create function explain_age(age interval) returns text
language sql immutable
as $$
    select case
        when abs(s) < 10 then round(abs(s), 1) || ' s'
        when abs(s) < 120 then round(abs(s)) || ' s'
        when abs(s) < 7200 then round(abs(s) / 60) || ' min'
        when abs(s) < 172800 then round(abs(s) / 3600) || ' h'
        else round(abs(s) / 86400) || ' days'
    end
    from extract(epoch from age) s
$$;
comment on function explain_age is 'An interval in plain words.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_deepest(id): the job for which a waiting job waits in the end: from parent to parent, the first that does not
-- wait for another, or the job itself. Prefers parents that do not wait. Internal: explain. Goes at most 1,000 steps.
create function explain_deepest(id bigint) returns bigint
language plpgsql stable
as $$
#variable_conflict use_column
declare
    deepest bigint := explain_deepest.id;
    next bigint;
begin
    for i in 1 .. 1000 loop
        exit when not exists (
            select from waiting w
            where w.job_id = deepest and w.pending > 0 and not w.held and w.ending is null
              and coalesce(w.role, '') not in ('signal', 'items'));
        next := (
            select e.parent_id
            from (select parent_id from edges where child_id = deepest offset 0) e
            left join lateral (select job_id from results where job_id = e.parent_id offset 0) f on true
            left join waiting w on w.job_id = e.parent_id
            where f.job_id is null
            order by (w.pending > 0 and not w.held) is true, e.parent_id
            limit 1);
        exit when next is null;
        deepest := next;
    end loop;
    return deepest;
end
$$;
comment on function explain_deepest is 'The job for which a waiting job waits in the end.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_finished(id): how a job ended and, where another job is the cause, through which parents that came. Internal:
-- explain. Walks at most 100 parents up.
create function explain_finished(id bigint) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    ended record;
    step bigint := explain_finished.id;
    names text[] := '{}';
    cause record;
begin
    select f.*, j.dag_id as dag, j.max_attempts into ended
    from results f left join jobs j on j.id = f.job_id
    where f.job_id = explain_finished.id;
    return query select ended.state,
        format('%s at %s', ended.state, explain_time(ended.finished_at))
        || case when ended.claimed_at is not null
               then format(' in attempt %s, after %s', ended.attempt, explain_age(ended.finished_at - ended.claimed_at)) else '' end
        || coalesce(': ' || ended.error, ''), explain_finished.id;
    if ended.cause_id is null then
        return;
    end if;
    for i in 1 .. 100 loop
        step := (
            select e.parent_id
            from (select parent_id from edges where child_id = step and not soft offset 0) e
            cross join lateral (
                select job_id, cause_id from results where job_id = e.parent_id offset 0) f
            where f.job_id = ended.cause_id or f.cause_id = ended.cause_id
            order by f.job_id = ended.cause_id desc, f.job_id
            limit 1);
        exit when step is null or step = ended.cause_id;
        names := names || (select j.name from jobs j where j.id = step and coalesce(j.role, '') <> 'gate');
    end loop;
    select j.id, case when j.dag_id = coalesce(ended.dag, ended.job_id) then j.name end as name, f.state, f.error, f.finished_at into cause
    from (select ended.cause_id as id) c
    left join jobs j on j.id = c.id
    left join results f on f.job_id = c.id;
    return query select 'cause',
        format('%s %s%s%s%s', coalesce(cause.name, 'job ' || ended.cause_id), coalesce(cause.state, 'has been deleted'),
               coalesce(' at ' || explain_time(cause.finished_at), ''),
               ', which came here through ' || nullif(array_to_string(array(
                   select n from unnest(names) with ordinality u(n, i) order by i desc), ', '), ''),
               ': ' || cause.error),
        ended.cause_id;
end
$$;
comment on function explain_finished is 'How a job ended, and why.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_job(id): why a job does not run, in plain words, most decisive first; job_id is the job that a line is about.
-- Raises PQ004 when there is no such job. Looks at bounded numbers of parents and jobs. Locks nothing.
--
-- reason is one of: completed, failed, cancelled, expired, skipped (how it ended), cause (the job whose failure is the
-- reason, and through which parents that came); running, late worker, cancelling; ending (a DAG or map that lets its nodes
-- end); held, DAG held; answer (an external node that is open), sleeping; items (a map under way), window (an item that
-- waits for others of its map); parents (for how many it waits), parent (each of them, the first ten), blocked (for what
-- waiting parents wait in the end), news (all parents have ended, which the job hears in a moment); delayed, retrying,
-- snoozed, due; queue paused, no worker, unknown kind, queued (jobs are ahead of it), workers busy, next; lost.
create function explain_job(id bigint)
returns table (reason text, detail text, job_id bigint)
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
    return query select e.reason, e.detail, e.job_id from explain_one(explain_job.id) e;
end
$$;
comment on function explain_job is 'Why a job does not run.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_one(id, chase): what explain_job says. chase: whether to look for what blocks the parents of a job that waits, and
-- theirs, and so on. Raises PQ004 when there is no such job. Internal: explain_job and dag_explain.
create function explain_one(id bigint, chase boolean default true)
returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    state text;
begin
    select s.state into state from job_states s where s.id = explain_one.id;
    if state is null then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no job %s', coalesce(explain_one.id::text, 'null'));
    end if;
    case state
        when 'waiting' then
            return query select * from explain_waiting(explain_one.id, chase);
        when 'scheduled' then
            return query select * from explain_scheduled(explain_one.id);
        when 'ready' then
            return query select * from explain_ready(explain_one.id);
        when 'running' then
            return query select * from explain_running(explain_one.id);
        when 'lost' then
            return query select 'lost', 'is in none of the places where jobs are: an invariant is broken', explain_one.id;
        else
            return query select * from explain_finished(explain_one.id);
    end case;
end
$$;
comment on function explain_one is 'What explain_job says.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_queue(queue_name): says that a queue is paused; no rows when it is not. Internal: explain.
create function explain_queue(queue_name text) returns table (reason text, detail text, job_id bigint)
language sql stable
as $$
    select 'queue paused',
           format('queue %s is paused for %s%s', q.name, explain_age(statement_timestamp() - q.paused_at), ': ' || q.pause_reason),
           null::bigint
    from queues q
    where q.name = queue_name
      and q.paused_at is not null
$$;
comment on function explain_queue is 'Says that a queue is paused.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_ready(id): why nobody claims a job that is ready. Internal: explain. Counts up to 10,000 rows ahead of it.
create function explain_ready(id bigint) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    job record;
    live record;
    ahead record;
    busy bigint;
    now constant timestamptz := statement_timestamp();
begin
    select j.id, j.queue, j.kind, j.priority, coalesce(a.attempt, 0) as attempt, coalesce(a.seq, j.id) as seq into job
    from jobs j
    left join ready a on a.job_id = j.id and a.seq <> a.job_id
    where j.id = explain_ready.id;
    return query select e.reason, e.detail, job.id from explain_queue(job.queue) e;
    select count(*) as serve, count(*) filter (where job.kind = any(w.kinds)) as know into live
    from workers w
    where w.dead_at is null
      and w.heartbeat_at > now - w.lease
      and job.queue = any(w.queues);
    if live.serve = 0 then
        return query select 'no worker', format('no live worker serves queue %s', job.queue), job.id;
    elsif live.know = 0 then
        return query select 'unknown kind',
            format('of the %s live workers of queue %s none knows kind %s', live.serve, job.queue, job.kind), job.id;
    end if;
    select count(*) as rows, coalesce(sum(least(r.size, case when r.priority = job.priority then job.seq - r.seq else r.size end)), 0) as jobs
    into ahead
    from (
        select priority, seq, size from ready
        where queue = job.queue and (priority, seq) < (job.priority, job.seq)
        order by priority, seq
        limit 10000) r;
    if ahead.jobs > 0 then
        return query select 'queued',
            format('%s%s jobs are ahead of it in queue %s', case when ahead.rows = 10000 then 'at least ' else '' end,
                   ahead.jobs, job.queue), job.id;
    else
        busy := (select count(*) from (select from running r where r.queue = job.queue limit 10000) b);
        return query select 'workers busy',
            format('it is next in queue %s, of which %s jobs run on %s live workers', job.queue, busy, live.serve), job.id
            where live.know > 0 and busy > 0
            union all
            select 'next', format('it is next in queue %s and will be claimed at once', job.queue), job.id
            where live.know > 0 and busy = 0 and not exists (select from explain_queue(job.queue));
    end if;
end
$$;
comment on function explain_ready is 'Why nobody claims a job that is ready.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_running(id): who runs a job since when, and what is the matter with it. Internal: explain.
create function explain_running(id bigint) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    lease record;
    now constant timestamptz := statement_timestamp();
begin
    select r.*, w.name as worker, w.heartbeat_at, w.lease, w.dead_at, p.done, p.total,
           coalesce(j.max_attempts, s.max_attempts) as max_attempts
    into lease
    from running r
    left join jobs j on j.id = r.job_id
    left join workers w on w.id = r.worker_id
    left join progress p on p.job_id = r.job_id and p.attempt = r.attempt
    cross join lateral settings_of(r.queue) s
    where r.job_id = explain_running.id;
    return query select 'running',
        format('attempt %s of %s runs for %s on worker %s (%s)%s', lease.attempt, lease.max_attempts,
               explain_age(now - lease.claimed_at), lease.worker_id, coalesce(lease.worker, 'unknown'),
               case when lease.done is not null then format('; it reports %s of %s', lease.done, lease.total) else '' end),
        explain_running.id;
    if lease.cancel_requested_at is not null then
        return query select 'cancelling',
            format('its handler was asked to stop %s ago', explain_age(now - lease.cancel_requested_at)), explain_running.id;
    end if;
    if lease.dead_at is not null or now - lease.heartbeat_at > lease.lease then
        return query select 'late worker',
            format('its worker was last heard of %s ago; another one rescues the job', explain_age(now - lease.heartbeat_at)),
            explain_running.id;
    end if;
end
$$;
comment on function explain_running is 'Who runs a job since when.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_scheduled(id): for what time a job waits, and after which error. Internal: explain.
create function explain_scheduled(id bigint) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    job record;
    last record;
    now constant timestamptz := statement_timestamp();
begin
    select c.*, coalesce(j.max_attempts, s.max_attempts) as max_attempts into job
    from scheduled c
    join jobs j on j.id = c.job_id
    cross join lateral settings_of(c.queue) s
    where c.job_id = explain_scheduled.id;
    -- "offset 0" keeps the planner from walking all events backwards by id.
    select e.type, e.data ->> 'error' as error into last
    from (select id, type, data from events
          where job_id = explain_scheduled.id and type in ('retried', 'snoozed') offset 0) e
    order by e.id desc
    limit 1;
    return query select
        case when job.run_at <= now then 'due' when last.type = 'snoozed' then 'snoozed'
             when job.attempt > 0 then 'retrying' else 'delayed' end,
        case when job.run_at <= now
             then format('is due since %s; a worker''s chores make it ready', explain_age(now - job.run_at))
             else format('waits until %s (%s)', explain_time(job.run_at), explain_age(job.run_at - now)) end
        || case when job.attempt > 0 then format('; %s of %s attempts are used', job.attempt, job.max_attempts) else '' end
        || coalesce('; the last error was: ' || last.error, ''),
        explain_scheduled.id;
    if job.run_at <= now and not exists (select from workers w where w.dead_at is null and w.heartbeat_at > now - w.lease) then
        return query select 'no worker', 'no worker is alive', explain_scheduled.id;
    end if;
    return query select e.* from explain_queue(job.queue) e;
end
$$;
comment on function explain_scheduled is 'For what time a job waits.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_time(at): a time in plain words, to the second, in the session's time zone: "2026-03-01 12:30:05+00". Internal.
create function explain_time(at timestamptz) returns text
language sql stable
as $$
    select to_char(at, 'YYYY-MM-DD HH24:MI:SSOF')
$$;
comment on function explain_time is 'A time in plain words.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_waiting(id, chase): for what a job in waiting waits. Internal: explain. Names ten unfinished parents; with
-- chase it looks for what blocks the first three of those that wait themselves.
create function explain_waiting(id bigint, chase boolean) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    now constant timestamptz := statement_timestamp();
    node record;
    unfinished bigint[];
    parents bigint;
    parent record;
    blocked bigint[] := '{}';
    blocker bigint;
begin
    select w.*, j.dag_id, j.name, j.rule, j.spec, j.expires_at, j.role as kind_of, m.total, m.released,
           (select d.held from waiting d where d.job_id = coalesce(j.dag_id, j.id) and d.role = 'dag') as dag_held
    into node
    from waiting w
    join jobs j on j.id = w.job_id
    left join maps m on m.job_id = w.job_id
    where w.job_id = explain_waiting.id;
    if node.ending is not null then
        return query select 'ending',
            format('ends as %s as soon as nothing of it runs any more%s', node.ending, ': ' || node.reason), node.job_id;
    end if;
    if node.dag_held then
        return query select 'DAG held',
            'the DAG is held' || coalesce(' (' || (
                select e.data ->> 'reason'
                from (select id, data from events where job_id = coalesce(node.dag_id, node.job_id) and type = 'held' offset 0) e
                order by e.id desc limit 1) || ')', '') || ': dag_resume lets it go on', coalesce(node.dag_id, node.job_id);
    elsif node.held then
        return query select 'held', 'it is held: dag_resume lets it go on', node.job_id;
    end if;
    if node.role = 'signal' and node.kind_of = 'sleep' then
        return query select 'sleeping',
            format('sleeps until %s (%s)', explain_time(node.expires_at), explain_age(node.expires_at - now)), node.job_id;
        return;
    elsif node.role = 'signal' then
        return query select 'answer',
            'waits for an answer from outside (dag_complete or dag_fail)'
            || case when node.expires_at is null then ', without a limit' else
                   format(' until %s (%s), then %s', explain_time(node.expires_at), explain_age(node.expires_at - now),
                          case when node.spec -> 'default' is null then 'it fails' else 'it takes its default' end) end,
            node.job_id;
        return;
    elsif node.role = 'items' then
        return query select 'items',
            format('%s of %s items are done, %s of them failed; %s were started', node.total - node.pending, node.total,
                   node.failed, node.released), node.job_id;
    elsif node.spec ? 'map' and node.kind_of is null then
        return query select 'window',
            (select format('waits until other items of %s are done: at most %s may run at a time', j.name,
                           coalesce(j.spec ->> 'window', 'all')) from jobs j where j.id = (node.spec ->> 'map')::bigint),
            (node.spec ->> 'map')::bigint;
        return;
    end if;
    select array_agg(e.parent_id order by e.parent_id) filter (where f.job_id is null), count(*) into unfinished, parents
    from (select parent_id from edges where child_id = node.job_id offset 0) e
    left join lateral (select job_id from results where job_id = e.parent_id offset 0) f on true;
    if unfinished is null then
        return query select 'news', 'all it waits for has ended; it hears of it in a moment', node.job_id
            where not (node.held or coalesce(node.dag_held, false));
        return;
    elsif node.role is distinct from 'items' then
        return query select 'parents',
            format('%s of %s %s have not ended%s', cardinality(unfinished), parents,
                   case when node.kind_of = 'dag' then 'nodes that it waits for' else 'parents' end,
                   case when coalesce(node.rule, 'all') <> 'all'
                        then format('; rule %s: so far %s succeeded, %s failed, %s were skipped',
                                    replace(node.rule, 'at_least', 'at_least ' || node.need_ok), node.ok, node.failed, node.skipped)
                        else '' end),
            node.job_id;
    end if;
    for parent in
        select s.*, case when s.dag_id = node.dag_id or s.dag_id = node.job_id then s.name else 'job ' || s.id end as title,
               w.pending > 0 and not w.held and coalesce(w.role, '') not in ('signal', 'items') as waits
        from unnest(unfinished[1:10]) u(id)
        cross join lateral (select * from job_states where id = u.id offset 0) s
        left join waiting w on w.job_id = u.id
        order by w.pending > 0 is true, s.id
    loop
        return query select 'parent',
            format('%s is %s%s', parent.title, parent.state, case
                when parent.state = 'running' then format(' for %s (attempt %s)', explain_age(now - parent.claimed_at), parent.attempt)
                when parent.state = 'scheduled' then format(' until %s', explain_time(parent.run_at))
                else format(', added %s ago', explain_age(now - parent.created_at)) end),
            parent.id;
        if cardinality(blocked) < 3 and parent.state <> 'running' and not (coalesce(node.role, '') = 'items' and parent.state = 'waiting') then
            blocked := blocked || parent.id;
        end if;
    end loop;
    if chase and node.dag_held is not true then
        return query
            select distinct on (d.deepest) 'blocked',
                   format('%s: %s: %s', case when j.dag_id = node.dag_id or j.dag_id = node.job_id then j.name else 'job ' || j.id end,
                          e.reason, e.detail), d.deepest
            from unnest(blocked) u(id)
            cross join lateral (select explain_deepest(u.id) as deepest) d
            join jobs j on j.id = d.deepest
            cross join lateral (select * from explain_one(d.deepest, false) limit 1) e
            order by d.deepest;
    end if;
end
$$;
comment on function explain_waiting is 'For what a job in waiting waits.';
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
-- fail_dag(dag_id): ends a DAG with on_failure "cancel" in which a node has failed: what has not ended is cancelled, but for
-- nodes that clean up or compensate (rules done, one_failed, all_failed and none_skipped) and what follows them. Does nothing if the node that
-- failed runs again. Internal: expire_dags.
create function fail_dag(dag_id bigint) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    cause text;
begin
    if not exists (
        select from doomed_dags(array(
            select f.job_id from jobs j join results f on f.job_id = j.id
            where j.dag_id = fail_dag.dag_id and f.state <> 'completed'))) then
        return;
    end if;
    select format('%s %s', j.name, f.state) into cause
    from jobs j join results f on f.job_id = j.id
    where j.dag_id = fail_dag.dag_id and f.state in ('failed', 'expired', 'cancelled')
    order by f.finished_at limit 1;
    update waiting set ending = 'failed', reason = coalesce(cause, 'failed') || ' (on_failure: cancel)'
    where job_id = fail_dag.dag_id and ending is null;
    perform cancel_all(array(
        with recursive spared as (
            select j.id from jobs j where j.dag_id = fail_dag.dag_id and j.rule in ('done', 'one_failed', 'all_failed', 'none_skipped')
            union
            select e.child_id from spared s join edges e on e.parent_id = s.id
        )
        select j.id
        from jobs j
        where j.dag_id = fail_dag.dag_id
          and coalesce(j.role, '') not in ('dag', 'gate')
          and j.id not in (select id from spared)
          and not exists (select from results f where f.job_id = j.id)), coalesce(cause, 'failed') || ' (on_failure: cancel)');
end
$$;
comment on function fail_dag is 'Ends a DAG that fails fast.';
-- +goose StatementEnd

-- +goose StatementBegin
-- forget(job_ids): deletes what is known of jobs whose place the caller has just deleted. Internal.
-- jobs comes before logs, because add_logs locks it: what is added meanwhile is waited for, and deleted too.
create function forget(job_ids bigint[]) returns void
language plpgsql
as $$
begin
    -- For no ids at all the planner would walk whole indexes.
    if job_ids = '{}' then
        return;
    end if;
    -- "offset 0" keeps the planner from walking all of expiries where it takes them for few.
    delete from expiries
    where ctid = any(array(
        select e.tid
        from jobs j
        cross join lateral (
            select x.ctid as tid from expiries x where x.expires_at = j.expires_at and x.job_id = j.id offset 0) e
        where j.id = any(job_ids)));
    delete from edges where parent_id = any(job_ids);
    delete from edges where child_id = any(job_ids);
    delete from signals where job_id = any(job_ids);
    delete from maps where job_id = any(job_ids);
    delete from dag_keys where dag_id = any(job_ids);
    delete from jobs where id = any(job_ids);
    delete from progress where job_id = any(job_ids);
    delete from logs where job_id = any(job_ids);
end
$$;
comment on function forget is 'Deletes what is known of jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- forget_members(dag_ids): deletes the results of the nodes of DAGs that have ended, and returns the nodes. Internal: the
-- caller has deleted the results of the DAGs, and forgets the nodes with them.
create function forget_members(dag_ids bigint[]) returns bigint[]
language plpgsql
as $$
declare
    members constant bigint[] := case when dag_ids = '{}' then '{}'
        else array(select m.id from jobs m where m.dag_id = any(dag_ids) order by m.id) end;
begin
    if members = '{}' then
        return '{}';
    end if;
    delete from frontier where parent_id = any(members);
    delete from results where job_id = any(members);
    return members;
end
$$;
comment on function forget_members is 'Deletes the results of the nodes of DAGs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- gate_was_skipped(dag_id, name): whether the sub-DAG of this name was skipped before it began. Internal.
create function gate_was_skipped(dag_id bigint, name text) returns boolean
language sql stable
as $$
    select exists (
        select from jobs j
        join results f on f.job_id = j.id
        where j.dag_id = gate_was_skipped.dag_id and j.name = gate_was_skipped.name || '/(start)' and f.state = 'skipped')
$$;
comment on function gate_was_skipped is 'Whether a sub-DAG was skipped before it began.';
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
-- is_item(job_id, map_id): whether a job is one of the items of a map. Internal.
create function is_item(job_id bigint, map_id bigint) returns boolean
language sql stable
as $$
    select exists (select from jobs j where j.id = is_item.job_id and (j.spec ->> 'map')::bigint = map_id)
$$;
comment on function is_item is 'Whether a job is an item of a map.';
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
        when array_ndims(tags) > 1 then array['tags', 'must be a list of texts']
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
-- judge(job_ids): decides those of these waiting jobs that can be decided by their counters as they stand, and tells their
-- children. Internal: the caller has put the jobs into waiting, or changed their rows, in the same transaction.
-- Locks: rows of waiting in the order of their ids.
create function judge(job_ids bigint[]) returns void
language plpgsql
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    decided record;
    finished bigint[];
begin
    with locked as materialized (
        select * from waiting w where w.job_id = any(job_ids) order by w.job_id for no key update
    ), judged as (
        select *, node_verdict(pending, ok, failed, skipped, need_ok, need_failed, max_failed, max_skipped, eager,
                               held and (role is null or role not in ('dag', 'items'))) as verdict
        from locked
    )
    select array_agg(job_id) filter (where verdict = 'run' and role is null) as starting,
           array_agg(job_id) filter (where verdict is not null and not (verdict = 'run' and role is null)) as others,
           array_agg(verdict) filter (where verdict is not null and not (verdict = 'run' and role is null)) as verdicts,
           array_agg(job_id) filter (where verdict is null and role = 'items') as maps
    into decided
    from judged;
    finished := carry_out(decided.starting, decided.others, decided.verdicts, decided.maps);
    if finished <> '{}' then
        perform doom_dags(finished);
        perform propagate(finished);
    end if;
end
$$;
comment on function judge is 'Decides waiting jobs by their counters as they stand.';
-- +goose StatementEnd

-- +goose StatementBegin
-- keep_waited(job_ids): lets the DAG or sub-DAG of each parent that has not ended wait for that parent itself, because nodes
-- that did (job_ids) are about to be ended before their time: a DAG never ends while something of it is alive.
-- Internal: cancel and expire. Locks: what pin locks, then rows of waiting of DAGs.
create function keep_waited(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    parents bigint[] := array(
        select distinct e.parent_id
        from edges e
        join jobs c on c.id = e.child_id and c.dag_id is not null
        join jobs p on p.id = e.parent_id and p.dag_id = c.dag_id
        where e.child_id = any(job_ids)
          -- DAGs and maps under way stay when the others are ended.
          and (e.parent_id <> all(job_ids)
               or exists (select from waiting w where w.job_id = e.parent_id and w.role in ('dag', 'items')))
          and not exists (select from results f where f.job_id = e.parent_id));
begin
    if parents = '{}' then
        return;
    end if;
    perform pin(parents);
    with added as (
        insert into edges (parent_id, child_id, soft)
        select p.id, sink_of(p.id), true
        from unnest(parents) p(id)
        where not exists (select from results f where f.job_id = p.id)
        on conflict do nothing
        returning child_id
    )
    update waiting w set pending = w.pending + a.n
    from (select child_id, count(*)::integer as n from added group by child_id) a
    where w.job_id = a.child_id;
end
$$;
comment on function keep_waited is 'Lets DAGs wait for parents that nobody else waits for any more.';
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
        when states[1] in ('waiting', 'scheduled', 'running', 'ready') then states[1]
        when states[1] in ('completed', 'failed', 'cancelled', 'skipped', 'expired') then 'results'
        else 'jobs'
    end;
begin
    if exists (select from unnest(states) s where s is null or s not in ('waiting', 'scheduled', 'ready', 'running', 'completed',
                                                                       'failed', 'cancelled', 'skipped', 'expired')) then
        perform invalid('states', 'must be waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired');
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
-- lock_dag(dag_id): locks a DAG for verbs that change many of its nodes. Raises PQ004 when there is no such DAG.
-- Internal. Locks: the DAG's advisory lock.
create function lock_dag(dag_id bigint) returns void
language plpgsql
as $$
begin
    perform lock_dags(array[dag_id]);
    if not exists (select from jobs j where j.id = lock_dag.dag_id and j.role = 'dag' and j.dag_id is null) then
        raise exception using errcode = 'PQ004', message = format('there is no DAG %s', coalesce(lock_dag.dag_id::text, 'null'));
    end if;
end
$$;
comment on function lock_dag is 'Locks a DAG for verbs that change many of its nodes.';
-- +goose StatementEnd

-- +goose StatementBegin
-- lock_dags(job_ids): locks the DAGs to which jobs belong, so that verbs which change many of a DAG's nodes go one after
-- the other, whatever rows they lock in which order. Workers never wait for it. Costs plain jobs a look-up. Internal.
-- Locks: the advisory locks of the DAGs, in the order of their ids, until the transaction ends.
create function lock_dags(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    dag bigint;
begin
    for dag in
        select distinct coalesce(j.dag_id, j.id) from jobs j
        where j.id = any(job_ids) and (j.dag_id is not null or j.role is not null)
        order by 1
    loop
        perform pg_advisory_xact_lock(advisory_key('dag/' || dag));
    end loop;
end
$$;
comment on function lock_dags is 'Locks the DAGs to which jobs belong.';
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
-- members_of(job_ids): the nodes of DAGs, of sub-DAGs and of maps among these jobs, at any depth; not the jobs themselves.
-- Internal.
create function members_of(job_ids bigint[]) returns setof bigint
language sql stable
as $$
    select m.id
    from jobs d
    cross join lateral (
        select id from jobs where dag_id = d.id and d.dag_id is null
        union all
        select id from jobs
        where dag_id = d.dag_id and d.role = 'dag' and name >= d.name || '/' and name < d.name || '0'
        union all
        select id from jobs
        where dag_id = d.dag_id and d.role = 'map' and name >= d.name || '[' and name < d.name || '\') m
    where d.id = any(job_ids) and d.role in ('dag', 'map')
$$;
comment on function members_of is 'Nodes of DAGs, sub-DAGs and maps.';
-- +goose StatementEnd

-- +goose StatementBegin
-- node_verdict(…): what the counters of a waiting row say against its thresholds: run, skip, or null (wait).
-- A node is decided when all its parents are done; an eager one runs as soon as it may. Only sums are looked at, so
-- the order in which parents end, and in which parts the news of it arrive, does not matter. Internal, inlined.
create function node_verdict(
    pending integer, ok integer, failed integer, skipped integer, need_ok integer, need_failed integer,
    max_failed integer, max_skipped integer, eager boolean, held boolean)
returns text
language sql immutable
as $$
    select case
        when held or not (pending = 0 or eager) then null
        when ok >= need_ok and failed >= need_failed and failed <= max_failed and skipped <= max_skipped then 'run'
        when pending = 0 then 'skip'
    end
$$;
comment on function node_verdict is 'What the counters of a waiting job say: run, skip, or null.';
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
-- open_external(job_id): a node that no handler runs has been reached: an external node waits for its answer, for as long as
-- its timeout says, a sleeping one for its time. True if it is finished at once, because the answer came before.
-- Internal: decide, which holds its row of waiting.
create function open_external(job_id bigint) returns boolean
language plpgsql
as $$
#variable_conflict use_column
declare
    node record;
    answer record;
begin
    select id, queue, role, spec, dag_id, result_ttl into node from jobs where id = open_external.job_id;
    if node.role = 'sleep' and (node.spec ->> 'delay')::interval <= interval '0' then
        insert into signals (job_id) values (node.id) on conflict do nothing;
    end if;
    delete from signals s where s.job_id = open_external.job_id returning * into answer;
    if found then
        delete from waiting w where w.job_id = open_external.job_id;
        insert into results (job_id, queue, state, attempt, expires_at, output, error, dag_id)
        values (node.id, node.queue, case when answer.error is null then 'completed' else 'failed' end, 0,
                now() + node.result_ttl, answer.output, answer.error, node.dag_id);
        return true;
    end if;
    update waiting w
    set role = 'signal', pending = 1, ok = 0, failed = 0, skipped = 0, cause_id = null,
        need_ok = 0, need_failed = 0, max_failed = 0, max_skipped = 0, eager = false
    where w.job_id = open_external.job_id;
    with timed as (
        update jobs
        set expires_at = now() + coalesce((node.spec ->> 'timeout')::interval, (node.spec ->> 'delay')::interval)
        where id = node.id and (node.spec ->> 'timeout' is not null or node.role = 'sleep')
        returning id, expires_at
    )
    insert into expiries (expires_at, job_id) select expires_at, id from timed;
    perform record_event('opened', node.id, node.queue);
    return false;
end
$$;
comment on function open_external is 'Lets an external or sleeping node wait for its answer or time.';
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
-- pin(job_ids): keeps jobs where they are until the transaction ends: those that are finished stay so, and the others do
-- not finish. Whoever makes a job a parent does it first: else the job might finish unseen in between, and
-- the child would wait for ever. Returns the jobs that do not exist. Internal.
-- Locks, shared: rows of waiting, ready, running, scheduled and results, each by job; what moved meanwhile is looked
-- for again; then what pin_frontier locks.
create function pin(job_ids bigint[]) returns setof bigint
language plpgsql
as $$
#variable_conflict use_column
declare
    pinned bigint[] := '{}';
    loose bigint[] := array(select distinct id from unnest(job_ids) id where id is not null);
    gone bigint[];
begin
    for round in 1 .. 100 loop
        pinned := array(select w.job_id from waiting w where w.job_id = any(loose) order by w.job_id for share);
        pinned := pinned || array(
            with hit as materialized (
                select j.id, x.queue, x.priority, x.seq
                from jobs j
                cross join lateral (
                    select * from ready x
                    where x.queue = j.queue and x.priority = j.priority and x.seq <= j.id
                    order by x.seq desc limit 1) x
                where j.id = any(loose) and x.seq = x.job_id and j.id < x.job_id + x.size
                union
                select x.job_id, x.queue, x.priority, x.seq from ready x where x.job_id = any(loose) and x.seq <> x.job_id
            ), locked as materialized (
                select r.queue, r.priority, r.seq
                from (select distinct queue, priority, seq from hit order by queue, priority, seq) h
                cross join lateral (
                    select * from ready x
                    where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq
                    offset 0
                    for share) r
            )
            select h.id from hit h join locked l on (l.queue, l.priority, l.seq) = (h.queue, h.priority, h.seq));
        pinned := pinned || array(select r.job_id from running r where r.job_id = any(loose) order by r.job_id for share);
        pinned := pinned || array(select s.job_id from scheduled s where s.job_id = any(loose) order by s.job_id for share);
        pinned := pinned || array(select f.job_id from results f where f.job_id = any(loose) order by f.job_id for share);
        loose := array(select id from unnest(loose) id except select id from unnest(pinned) id);
        if loose = '{}' then
            perform pin_frontier(job_ids);
            return;
        end if;
        gone := array(select id from unnest(loose) id where id not in (select j.id from jobs j where j.id = any(loose)));
        if cardinality(gone) = cardinality(loose) then
            perform pin_frontier(job_ids);
            return query select id from unnest(gone) id;
            return;
        end if;
    end loop;
    perform too_busy(loose);
end
$$;
comment on function pin is 'Keeps jobs where they are until the transaction ends.';
-- +goose StatementEnd

-- +goose StatementBegin
-- pin_frontier(job_ids): keeps what is left over in the frontier of these finished jobs there until the transaction ends, so that
-- whoever counts them as parents (recount) and the chores agree on which children have been told. Internal: pin.
-- Locks, shared: rows of frontier by their keys. What the chores put back meanwhile is looked for again.
create function pin_frontier(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    pinned tid[];
begin
    for round in 1 .. 100 loop
        pinned := array(
            select u.ctid from frontier u where u.parent_id = any(job_ids) order by u.parent_id, u.first_child for share);
        if not exists (select from frontier u where u.parent_id = any(job_ids) and u.ctid <> all(pinned)) then
            return;
        end if;
    end loop;
    perform too_busy(job_ids);
end
$$;
comment on function pin_frontier is 'Keeps what is left over of jobs in the frontier.';
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
-- propagate(job_ids): tells the children of jobs that have just finished in this transaction, and the children of
-- those that are finished by that, and so on: skips and jobs that no handler runs cost no round trip. Internal: all
-- verbs that finish jobs. What is more than 5,000 jobs or 200 generations is left to the frontier, that is to the
-- chores, so the transaction stays bounded at any depth and width.
create function propagate(job_ids bigint[]) returns void
language plpgsql
set plan_cache_mode = force_generic_plan
as $$
declare
    wave bigint[] := job_ids;
    told integer := 0;
    generations integer := 0;
begin
    loop
        wave := deliver(wave, array_fill(0::bigint, array[cardinality(wave)]),
                        array_fill(9223372036854775807, array[cardinality(wave)]));
        exit when wave = '{}';
        perform doom_dags(wave);
        told := told + cardinality(wave);
        generations := generations + 1;
        if told > 5000 or generations > 200 then
            insert into frontier (parent_id, first_child, last_child)
            select id, 0, 9223372036854775807
            from unnest(wave) id
            where exists (select from edges e where e.parent_id = id)
            on conflict (parent_id, first_child) do nothing;
            perform wake_chores();
            exit;
        end if;
    end loop;
end
$$;
comment on function propagate is 'Tells the children of finished jobs, and so on.';
-- +goose StatementEnd

-- +goose StatementBegin
-- propagate_frontier(at_most): tells children of finished jobs that were left over: those whose rows were locked by
-- others at the time, those of wide jobs, and those that follow long chains. Expands maps. Returns how many
-- entries it took off: 0 when there is none, or what they lead to is locked by others at the moment. Any worker's chore.
-- Locks: the chores (0 if others have them); rows of frontier, then what deliver locks; waits for none of them.
create function propagate_frontier(at_most integer default 500) returns integer
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    taken record;
    finished bigint[];
    map_id bigint;
    start bigint;
begin
    if not pg_try_advisory_xact_lock(advisory_key('chores')) then
        return 0;
    end if;
    select position into start from chores where name = 'propagate';
    with picked as materialized (
        select f.tid, sum(w.edges) over (order by f.parent_id, f.first_child) - w.edges as before
        from (select ctid as tid, * from frontier
              where parent_id > start
              order by parent_id, first_child limit at_most for update skip locked) f
        cross join lateral (
            select count(*) as edges
            from (select from edges e
                  where e.parent_id = f.parent_id and e.child_id between f.first_child and f.last_child
                  limit 5001) e) w
    ), removed as (
        delete from frontier where ctid = any(array(select tid from picked where before <= 10000)) returning *
    )
    select array_agg(parent_id order by parent_id, first_child) as parents,
           array_agg(first_child order by parent_id, first_child) as firsts,
           array_agg(last_child order by parent_id, first_child) as lasts,
           count(*) as n
    into taken
    from removed;
    -- Goes on behind them the next time, so that entries that lead to a locked row do not keep others from their turn.
    update chores set position = coalesce(taken.parents[taken.n], 0) where name = 'propagate' and position <> coalesce(taken.parents[taken.n], 0);
    if taken.parents is null then
        return case when start > 0 and exists (select from frontier) then propagate_frontier(at_most) else 0 end;
    end if;
    -- Maps that are being expanded stand in the frontier with themselves as their child.
    for map_id in select p from unnest(taken.parents, taken.firsts) u(p, c) where p = c loop
        perform expand_map(map_id);
    end loop;
    perform doom_dags(taken.parents);
    finished := deliver(taken.parents, taken.firsts, taken.lasts, true);
    if finished <> '{}' then
        perform doom_dags(finished);
        perform propagate(finished);
    end if;
    -- What was put back is behind a row that somebody has locked, or is the rest of a wide parent.
    return taken.n - (select count(*) from frontier u where (u.parent_id, u.first_child) in (
        select * from unnest(taken.parents, taken.firsts)));
end
$$;
comment on function propagate_frontier is 'Tells children of finished jobs that were left over.';
-- +goose StatementEnd

-- +goose StatementBegin
-- prune(at_most): deletes up to about at_most finished jobs of each sort that were kept for as long as their queue
-- says (keep_completed …) or as their result_ttl says, DAGs with all their nodes, and events and subscribers that are past.
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
            (select queue, state from results where state <> 'completed' and dag_id is null order by queue, state limit 1)
            union all
            select next.queue, next.state
            from groups g
            cross join lateral (
                select f.queue, f.state from results f
                where f.state <> 'completed' and f.dag_id is null and (f.queue, f.state) > (g.queue, g.state)
                order by f.queue, f.state limit 1) next)
        select old.job_id
        from groups g
        cross join lateral settings_of(g.queue) s
        cross join lateral (
            select f.job_id from results f
            where f.queue = g.queue and f.state = g.state and f.state <> 'completed' and f.expires_at is null and f.dag_id is null
              and f.finished_at < now() - case g.state
                  when 'failed' then s.keep_failed when 'expired' then s.keep_expired else s.keep_cancelled end
            order by f.finished_at limit at_most) old);
    with locked as materialized (
        select ctid as tid from results
        where job_id = any(due) and job_id <> all(untold_jobs())
        order by job_id for update skip locked
    ), removed as (
        delete from results f where f.ctid = any(array(select tid from locked)) returning f.job_id
    )
    select coalesce(array_agg(job_id), '{}') into due from removed;
    perform forget(due || forget_members(due));

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
        (select queue from results where state <> 'completed' and dag_id is null order by queue limit 1)
        union all
        select (select f.queue from results f
                where f.state <> 'completed' and f.dag_id is null and f.queue > i.queue order by f.queue limit 1)
        from in_results i where i.queue is not null
    ), in_nodes as (
        (select queue from results where state <> 'completed' and dag_id is not null order by queue limit 1)
        union all
        select (select f.queue from results f
                where f.state <> 'completed' and f.dag_id is not null and f.queue > i.queue order by f.queue limit 1)
        from in_nodes i where i.queue is not null
    )
    select name from queues where name <> '*'
    union select queue from in_ready where queue is not null
    union select queue from in_scheduled where queue is not null
    union select queue from in_results where queue is not null
    union select queue from in_nodes where queue is not null
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
-- recount(job_ids): writes into waiting what the parents of these waiting jobs came to so far. Of maps under way these are their
-- items, those that do not exist yet included; an external node that was reached has none any more.
-- Internal: the caller keeps the parents where they are (pin), or holds the rows of waiting and the chores' lock.
create function recount(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
    -- Row by row, without a join, for which the planner might walk all of waiting.
    update waiting w
    set (pending, ok, failed, skipped, cause_id) = (
        select (count(*) filter (where o.outcome is null and e.child_id is not null))::integer
                   + case when w.role = 'items' then (select m.total - m.expanded from maps m where m.job_id = w.job_id) else 0 end,
               (count(*) filter (where o.outcome = 'ok'))::integer,
               (count(*) filter (where o.outcome = 'failed'))::integer,
               (count(*) filter (where o.outcome = 'skipped'))::integer,
               min(coalesce(f.cause_id, f.job_id)) filter (where o.outcome = 'failed')
        from (select * from edges
              where edges.child_id = w.job_id
                and (w.role is distinct from 'items' or is_item(edges.parent_id, w.job_id))
              offset 0) e
        left join lateral (
            select * from results r
            where r.job_id = e.parent_id
              and not exists (
                  select from frontier x where x.parent_id = e.parent_id and e.child_id between x.first_child and x.last_child)
            offset 0) f on true
        left join lateral (
            select edge_outcome(f.state, f.cause_id, f.output, e.soft, e.condition) as outcome where f.job_id is not null) o on true)
    where w.job_id = any(job_ids) and w.role is distinct from 'signal';
end
$$;
comment on function recount is 'Writes into waiting what parents came to so far.';
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
-- release_items(job_id): starts as many items of a map as its window has room for, in order. Of a map that has failed
-- more items than it tolerates no more are started: they are skipped. Internal: the caller holds the map's row of waiting.
-- Never waits: behind an item that somebody else has locked the chores go on.
-- Locks: rows of waiting in the order of their ids, skipping those that others have locked.
create function release_items(job_id bigint) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    map record;
    items bigint[];
    free bigint[];
    missed bigint;
begin
    select m.*, w.pending, w.failed > w.max_failed as doomed, w.held, w.ending, (j.spec ->> 'window')::integer as size
    into map
    from maps m
    join waiting w on w.job_id = m.job_id
    join jobs j on j.id = m.job_id
    where m.job_id = release_items.job_id;
    if map.released = map.expanded or map.ending is not null or map.held then
        return;
    end if;
    -- Started are released of them, done are total - pending: the difference is what runs, or may.
    items := array(
        select e.parent_id from edges e
        where e.child_id = map.job_id and e.parent_id >= map.next_item
        order by e.parent_id
        limit case when map.size is null or map.doomed then map.expanded
                   else greatest(0, map.size - (map.released - (map.total - map.pending))) end);
    free := array(select w.job_id from waiting w where w.job_id = any(items) order by w.job_id for update skip locked);
    select min(w.job_id) into missed from waiting w where w.job_id = any(items) and w.job_id <> all(free);
    if missed is not null then
        items := array(select i from unnest(items) i where i < missed order by i);
        free := array(select i from unnest(free) i where i < missed order by i);
        insert into frontier (parent_id, first_child, last_child) values (map.job_id, map.job_id, map.job_id)
        on conflict do nothing;
        perform wake_chores();
    end if;
    if items = '{}' then
        return;
    end if;
    update maps m
    set released = map.released + cardinality(items), next_item = items[cardinality(items)] + 1
    where m.job_id = map.job_id;
    if not map.doomed then
        perform start_nodes(free);
        return;
    end if;
    update waiting w set reason = 'more items failed than the map tolerates' where w.job_id = any(free);
    insert into frontier (parent_id, first_child, last_child)
    select id, 0, 9223372036854775807 from unnest(decide(free, array_fill('skip'::text, array[cardinality(free)]))) id;
    perform wake_chores();
end
$$;
comment on function release_items is 'Starts as many items of a map as its window has room for.';
-- +goose StatementEnd

-- +goose StatementBegin
-- renumber(id, old_ids, new_ids): the new id for an old one (old_ids are sorted); an id that is not among them stays.
-- Internal, inlined: dag_fork.
create function renumber(id bigint, old_ids bigint[], new_ids bigint[]) returns bigint
language sql immutable
as $$
    select case when old_ids[width_bucket(id, old_ids)] = id then new_ids[width_bucket(id, old_ids)] else id end
$$;
comment on function renumber is 'The new id for an old one.';
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
-- makes them ready. Outcome per job: scheduled, ready, running, waiting (for other jobs), finished (use retry), not_found.
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
    perform lock_dags(job_ids);
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by p.place <> 'waiting', p.place loop
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
                    select id, case when found_at.place in ('running', 'waiting', 'not_found') then found_at.place else 'finished' end
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
-- Outcome per job: ready (also when it was already), waiting (for other jobs), running, finished (a DAG, sub-DAG, map or gate
-- of which nothing was to run again), not_found. A node of a DAG that has
-- ended takes along those of its descendants that were skipped, and the DAG; a DAG its failed nodes (see dag_retry).
-- Raises PQ006 when a job becomes the parent of others at this moment. Locks: for nodes the chores and the DAGs; then what withdraw locks, or rows of results by job.
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
    linked bigint[];
    reopened bigint[] := '{}';
begin
    linked := array(
        select j.id from jobs j
        where j.id = any(job_ids)
          and (j.dag_id is not null or j.role is not null or exists (select from edges e where e.parent_id = j.id)));
    if linked <> '{}' then
        perform pg_advisory_xact_lock(advisory_key('chores'));
        perform lock_dags(linked);
        reopened := dag_reset(linked || array(
            select m.id from jobs m join results f on f.job_id = m.id
            where m.dag_id = any(linked) and f.state in ('failed', 'cancelled', 'expired')));
    end if;
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by p.place <> 'waiting', p.place loop
            if found_at.place in ('ready', 'running', 'waiting', 'not_found') then
                return query select id, found_at.place from unnest(found_at.ids) id;
                continue;
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
                continue;
            elsif found_at.place = 'scheduled' then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw(found_at.ids) w;
            elsif found_at.ids && linked then
                -- What ends again at once runs no handler; what has ended since takes others along, too.
                return query select id, 'finished' from unnest(found_at.ids) id where id = any(reopened);
                found_at.ids := array(select unnest(found_at.ids) except select unnest(reopened));
                reopened := reopened || dag_reset(array(select id from unnest(found_at.ids) id where id = any(linked)));
                moved := moved || found_at.ids;
                continue;
            else
                perform f.job_id from results f where f.job_id = any(found_at.ids) order by f.job_id for update;
                if exists (select from edges e where e.parent_id = any(found_at.ids)) then
                    perform too_busy(found_at.ids);
                end if;
                with taken as (
                    delete from results f where f.job_id = any(found_at.ids) returning f.job_id, f.attempt, f.queue
                ), extended as (
                    update jobs j
                    set max_attempts = greatest(coalesce(j.max_attempts, s.max_attempts), r.attempt + 1), expires_at = null
                    from taken r, settings_of(r.queue) s
                    where j.id = r.job_id
                )
                select coalesce(array_agg(r.job_id order by r.job_id), '{}') as ids,
                       array_agg(r.attempt order by r.job_id) as attempts
                into gone from taken r;
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
-- rewait(job_ids, attempts): puts jobs into waiting, with the thresholds of their rules and what their parents came to so
-- far. Internal: the caller has taken the jobs from where they were, keeps their parents where they are (pin), and
-- judges the jobs afterwards. They are held if their DAG is. A map that was expanded goes on with its items.
create function rewait(job_ids bigint[], attempts integer[]) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
    insert into waiting (job_id, queue, role, pending, held, attempt, need_ok, need_failed, max_failed, max_skipped, eager)
    select j.id, j.queue, case when m.job_id is null then j.role else 'items' end, p.parents, coalesce(d.held, false), u.attempt,
           t.need_ok, t.need_failed,
           case when m.job_id is null then t.max_failed
                else floor(m.total * coalesce((j.spec ->> 'tolerate')::numeric, 0) / 100) end,
           case when m.job_id is null then t.max_skipped else 2147483647 end,
           t.eager and j.role is distinct from 'map'
    from unnest(job_ids, attempts) u(id, attempt)
    cross join lateral (select id, queue, role, rule, spec, dag_id from jobs where jobs.id = u.id offset 0) j
    left join maps m on m.job_id = j.id
    cross join lateral (
        select count(*)::integer as parents, coalesce(bool_and(g.role = 'gate'), false) as only_gate
        from edges e cross join lateral (select role from jobs where jobs.id = e.parent_id offset 0) g
        where e.child_id = j.id) p
    cross join lateral rule_thresholds(
        case when j.role = 'dag' then 'done' when p.only_gate or m.job_id is not null then 'all' else j.rule end,
        p.parents, (j.spec ->> 'at_least')::integer) t
    left join lateral (select held from waiting w where w.job_id = j.dag_id) d on true;
    perform recount(job_ids);
end
$$;
comment on function rewait is 'Puts jobs into waiting again.';
-- +goose StatementEnd

-- +goose StatementBegin
-- rule_thresholds(rule, parents, at_least): the thresholds of a dependency rule for a node with so many parents.
-- One row always. Internal, inlined.
create function rule_thresholds(rule text, parents integer, at_least integer)
returns table (need_ok integer, need_failed integer, max_failed integer, max_skipped integer, eager boolean)
language sql immutable
as $$
    select case when rule = 'at_least' then at_least when rule in ('any', 'join') then 1 else 0 end,
           case when rule = 'one_failed' then 1 when rule = 'all_failed' then parents else 0 end,
           case when rule in ('any', 'at_least', 'done', 'one_failed', 'all_failed', 'none_skipped') then 2147483647 else 0 end,
           case when coalesce(rule, 'all') in ('all', 'none_skipped') then 0 else 2147483647 end,
           coalesce(rule in ('any', 'at_least', 'one_failed'), false)
$$;
comment on function rule_thresholds is 'Thresholds of a dependency rule.';
-- +goose StatementEnd

-- +goose StatementBegin
-- scope_of(name): the sub-DAG in which a node of this name is: "a/b" for "a/b/c", "" for "c". Internal, inlined.
create function scope_of(name text) returns text
language sql immutable
as $$
    select left(name, greatest(length(name) - strpos(reverse(name), '/'), 0) * sign(strpos(name, '/'))::integer)
$$;
comment on function scope_of is 'The sub-DAG in which a node is.';
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
-- after their last place (waiting, ready or scheduled) was taken from them by the caller in the same transaction, and
-- tells their children. Internal: cancel, expire and delete.
create function settle(job_ids bigint[], queue_names text[], attempts integer[], new_state text, reason text)
returns void
language plpgsql
as $$
begin
    insert into results (job_id, queue, state, attempt, expires_at, error, dag_id)
    select u.id, u.queue, new_state, u.attempt, now() + j.result_ttl, reason, j.dag_id
    from unnest(job_ids, queue_names, attempts) u(id, queue, attempt)
    cross join lateral (select * from jobs where jobs.id = u.id offset 0) j
    order by u.id;
    perform record_event(new_state, u.id, u.queue, u.attempt, null, jsonb_strip_nulls(jsonb_build_object('error', reason)))
    from unnest(job_ids, queue_names, attempts) u(id, queue, attempt);
    if exists (select from edges e where e.parent_id = any(job_ids)) then
        perform doom_dags(job_ids);
        perform propagate(job_ids);
    end if;
end
$$;
comment on function settle is 'Writes how jobs ended that were waiting.';
-- +goose StatementEnd

-- +goose StatementBegin
-- sink_of(job_id): the job that ends when all of the sub-DAG or DAG has ended in which a node is. Internal.
create function sink_of(job_id bigint) returns bigint
language sql stable
as $$
    select coalesce((select s.id from jobs s where s.dag_id = j.dag_id and s.name = scope_of(j.name)), j.dag_id)
    from jobs j
    where j.id = sink_of.job_id
$$;
comment on function sink_of is 'The job of the sub-DAG or DAG in which a node is.';
-- +goose StatementEnd

-- +goose StatementBegin
-- skip_reason(cause_id, rule, ok, failed, skipped): why a node, map or DAG did not run or failed, in words. Internal.
create function skip_reason(cause_id bigint, rule text, ok integer, failed integer, skipped integer) returns text
language plpgsql stable
as $$
begin
    if cause_id is null then
        return format('rule %s: of its parents %s succeeded, %s failed, %s were skipped', coalesce(rule, 'all'), ok, failed, skipped);
    end if;
    return (
        select format('%s %s', coalesce(j.name, 'job ' || f.job_id), f.state)
        from results f left join jobs j on j.id = f.job_id
        where f.job_id = skip_reason.cause_id);
end
$$;
comment on function skip_reason is 'Why a node did not run, in words.';
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
-- start_nodes(job_ids): takes jobs out of waiting that a handler is to run, and makes them ready, or scheduled where
-- they have a delay. Internal: the caller has locked their rows of waiting and judged that they run.
--
-- A job that never started keeps its place by age: its seq is its id, so the nodes of an old DAG come before jobs
-- that were enqueued later; jobs with consecutive ids that are alike share rows (runs).
create function start_nodes(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    queues text[];
begin
    with gone as (
        delete from waiting where job_id = any(job_ids) returning job_id, attempt
    ), nodes as materialized (
        select j.id, j.queue, j.priority, j.kind, g.attempt,
               case when g.attempt = 0 then now() + (j.spec ->> 'delay')::interval end as run_at
        from gone g
        cross join lateral (select id, queue, priority, kind, spec from jobs where jobs.id = g.job_id offset 0) j
    ), later as (
        insert into scheduled (job_id, queue, run_at, attempt)
        select id, queue, run_at, attempt from nodes where run_at > now()
    ), again as (
        insert into ready (queue, priority, seq, job_id, attempt, kind)
        select queue, priority, nextval('jobs_id_seq'), id, attempt, kind from nodes where attempt > 0
    ), islands as (
        select *, id - row_number() over (partition by queue, priority, kind order by id) as island
        from nodes
        where attempt = 0 and (run_at is null or run_at <= now())
    ), pieces as (
        select *, (row_number() over (partition by queue, priority, kind, island order by id) - 1) / max_run_size() as piece
        from islands
    ), runs as (
        insert into ready (queue, priority, seq, job_id, size, kind)
        select queue, priority, min(id), min(id), count(*), kind
        from pieces group by queue, priority, kind, island, piece
    )
    select array_agg(distinct queue) into queues from nodes where run_at is null or run_at <= now();
    if queues is not null then
        perform wake(queues);
    end if;
end
$$;
comment on function start_nodes is 'Makes nodes ready that waited for others.';
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
-- untold_jobs(): jobs and DAGs that must not be deleted yet, because children of theirs, or of their nodes, have not heard how
-- they ended. Mostly none. Internal: delete and prune.
create function untold_jobs() returns bigint[]
language plpgsql stable
as $$
begin
    return array(
        select u.parent_id from frontier u
        union
        select j.dag_id
        from frontier u
        cross join lateral (select dag_id from jobs where jobs.id = u.parent_id offset 0) j
        where j.dag_id is not null);
end
$$;
comment on function untold_jobs is 'Jobs that must not be deleted yet.';
-- +goose StatementEnd

-- +goose StatementBegin
-- virtual_output(job_id, role, ok, failed): the result of a job that no handler runs and that has just completed: of a
-- map how many items it had, of a DAG that of its output node. Internal.
create function virtual_output(job_id bigint, role text, ok integer, failed integer) returns jsonb
language plpgsql stable
as $$
begin
    if role = 'items' then
        return jsonb_build_object('items', ok + failed, 'failed', failed);
    elsif role = 'dag' then
        return (
            select f.output
            from jobs d
            join jobs j on j.dag_id = coalesce(d.dag_id, d.id)
                       and j.name = case when d.dag_id is null then '' else d.name || '/' end || (d.spec ->> 'output')
            join results f on f.job_id = j.id
            where d.id = virtual_output.job_id);
    end if;
    return null;
end
$$;
comment on function virtual_output is 'The result of a job that no handler runs.';
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
-- wake_chores(): asks one of the workers to do the chores soon, once the transaction commits. Internal.
create function wake_chores() returns void
language plpgsql
as $$
begin
    perform pg_notify(channel(), 'chores');
end
$$;
comment on function wake_chores is 'Asks a worker to do the chores soon.';
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
                  where job_id > start and state = 'completed' and expires_at is null and dag_id is null
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
            delete from scheduled s where s.job_id = any(array(select l.job_id from locked l))
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
-- withdraw_waiting(job_ids, unstarted_only): takes jobs out of waiting; those that were there, and their attempts so far.
-- DAGs and maps under way stay: they end when their nodes have ended. Internal: the caller puts the jobs somewhere else.
-- Locks: rows of waiting in the order of their ids; waits for others.
create function withdraw_waiting(job_ids bigint[], unstarted_only boolean default false)
returns table (job_id bigint, queue text, attempt integer)
language plpgsql
as $$
#variable_conflict use_column
begin
    perform w.job_id from waiting w where w.job_id = any(job_ids) order by w.job_id for update;
    return query
        delete from waiting w
        where w.job_id = any(job_ids)
          and (w.role is null or w.role not in ('dag', 'items'))
          and (w.attempt = 0 or not unstarted_only)
        returning w.job_id, w.queue, w.attempt;
end
$$;
comment on function withdraw_waiting is 'Takes jobs out of waiting.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_edges: one row per edge between jobs, in the DAG of the child. A stable contract for SELECT; ask for one DAG
-- (dag_id). Locks nothing. Edges into the DAG's own job, which waits for its leaves, have no child name; parents that
-- are not of this DAG have no parent name. Edges of hidden gates and of items to their maps are among them.
create view dag_edges as
select c.dag_id,
       e.parent_id,
       p.name as parent,
       e.child_id,
       c.name as child,
       e.soft,
       e.condition::text as condition
from jobs c
join edges e on e.child_id = c.id
left join jobs p on p.id = e.parent_id and p.dag_id = c.dag_id
where c.dag_id is not null
union all
select d.id,
       e.parent_id,
       p.name,
       e.child_id,
       null,
       e.soft,
       e.condition::text
from jobs d
join edges e on e.child_id = d.id
left join jobs p on p.id = e.parent_id and p.dag_id = d.id
where d.role = 'dag'
  and d.dag_id is null;
comment on view dag_edges is 'One row per edge.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dags: one row per DAG. A stable contract for SELECT; by id, or the latest of a name ("where name = … order by id desc
-- limit 50"), it costs a few index look-ups per row. Locks nothing.
-- state: running until it has ended, held while it is held (dag_hold), else how it ended: completed, failed, cancelled,
-- expired, skipped. A DAG has no worker, so whether anything of it runs at the moment is said by dag_progress.
-- error and cause_id say why it has failed: cause_id is the job that failed first.
create view dags as
select d.id,
       d.kind as name,
       d.spec ->> 'key' as key,
       d.queue,
       d.priority,
       case
           when f.job_id is not null then f.state
           when w.held then 'held'
           when w.job_id is not null then 'running'
           else 'lost'
       end as state,
       coalesce(w.held, false) as held,
       d.created_at,
       f.finished_at,
       d.expires_at as deadline,
       coalesce(d.spec ->> 'on_failure', 'continue') as on_failure,
       d.spec ->> 'output' as output,
       (d.spec ->> 'forked_from')::bigint as forked_from,
       d.tags,
       d.metadata,
       f.error,
       f.cause_id
from jobs d
left join results f on f.job_id = d.id
left join waiting w on w.job_id = d.id
where d.role = 'dag'
  and d.dag_id is null;
comment on view dags is 'One row per DAG.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_states: one row per job with its state: waiting, scheduled, ready, running, or how it ended (completed, failed,
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
           when w.job_id is not null then 'waiting'
           else 'lost'
       end as state,
       coalesce(f.attempt, r.attempt, s.attempt, a.attempt, w.attempt, 0) as attempt,
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
       f.error,
       j.dag_id,
       j.name
from jobs j
left join results f on f.job_id = j.id
left join running r on r.job_id = j.id
left join scheduled s on s.job_id = j.id
left join ready a on a.job_id = j.id and a.seq <> a.job_id
left join waiting w on w.job_id = j.id
left join lateral (
    select run.job_id, run.size
    from ready run
    where run.queue = j.queue and run.priority = j.priority and run.seq <= j.id
    order by run.seq desc
    limit 1) n on n.job_id <= j.id and j.id < n.job_id + n.size;
comment on view job_states is 'One row per job with its state.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_blockers: what waiting nodes wait for: one row per node and parent that is not finished. A stable contract for
-- SELECT; ask for one DAG (dag_id) or node. Locks nothing. Nothing for a node: it does not wait for parents; see
-- dag_explain. Parents may be hidden gates ("etl/(start)"), which have rows of their own; one that is not of this DAG has
-- no name. since is when the parent was claimed, or else when it was added.
create view dag_blockers as
select c.dag_id,
       c.name as node,
       w.job_id,
       e.parent_id,
       case when p.dag_id = c.dag_id then p.name end as parent,
       p.state as parent_state,
       coalesce(p.claimed_at, p.created_at) as since
from waiting w
join jobs c on c.id = w.job_id
join edges e on e.child_id = w.job_id
-- "offset 0": the planner takes jobs that have not finished for few and would look for them among all jobs.
cross join lateral (select * from job_states where id = e.parent_id offset 0) p
where c.dag_id is not null
  and w.pending > 0
  and not exists (select from results f where f.job_id = e.parent_id);
comment on view dag_blockers is 'What waiting nodes wait for.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_nodes: one row per node of a DAG, nodes of sub-DAGs, items of maps and hidden gates (role gate) included. A stable
-- contract for SELECT; ask for one DAG (dag_id) or one node (dag_id and name, or job_id). Locks nothing.
-- scope is the sub-DAG that a node is in ("etl" for "etl/extract"), null at the top. pending, ok, failed and skipped
-- count the parents of a node that waits, null afterwards; for a map under way they count its items.
-- duration is that of the last attempt. cause is the name of the job whose failure ended this one.
create view dag_nodes as
select j.dag_id,
       j.id as job_id,
       j.name,
       substring(j.name from '^(.*)/') as scope,
       j.role,
       j.kind,
       j.queue,
       s.state,
       s.attempt,
       j.max_attempts,
       j.created_at,
       s.run_at,
       s.claimed_at,
       s.finished_at,
       s.worker_id,
       s.finished_at - s.claimed_at as duration,
       j.rule,
       w.pending,
       w.ok,
       w.failed,
       w.skipped,
       coalesce(w.held, false) as held,
       s.error,
       f.cause_id,
       coalesce(c.name, 'job ' || c.id) as cause
from jobs j
join job_states s on s.id = j.id
left join waiting w on w.job_id = j.id
left join results f on f.job_id = j.id
left join jobs c on c.id = f.cause_id
where j.dag_id is not null;
comment on view dag_nodes is 'One row per node of a DAG.';
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
drop view dag_nodes;
drop view dag_blockers;
drop view job_states;
drop view dags;
drop view dag_edges;
drop function withdraw_waiting;
drop function withdraw;
drop function wants_event;
drop function walk_completed;
drop function wake_chores;
drop function wake;
drop function virtual_output;
drop function untold_jobs;
drop function unsubscribe;
drop function unknown_kinds;
drop function too_busy;
drop function subscribe;
drop function start_nodes;
drop function snooze;
drop function sleep_gate;
drop function skip_reason;
drop function sink_of;
drop function settle;
drop function settings_of;
drop function set_queue;
drop function scope_of;
drop function rule_thresholds;
drop function rewait;
drop function retry;
drop function retire_worker;
drop function resume_queue;
drop function rescue_worker;
drop function rescue;
drop function reschedule;
drop function report_progress;
drop function renumber;
drop function release_items;
drop function release;
drop function register_worker;
drop function recount;
drop function record_event;
drop function read_events;
drop function queue_settings;
drop function queue_names;
drop function queue_depth;
drop function put_ready;
drop function prune;
drop function propagate_frontier;
drop function propagate;
drop function promote_due;
drop function promote;
drop function places;
drop function pin_frontier;
drop function pin;
drop function pause_queue;
drop function open_external;
drop function notify_subscribers;
drop function node_verdict;
drop function members_of;
drop function max_run_size;
drop function lock_dags;
drop function lock_dag;
drop function list_jobs;
drop function keep_waited;
drop function judge;
drop function jobs_from_json;
drop function job_problem;
drop function job_history;
drop function is_item;
drop function invalid;
drop function heartbeat;
drop function give_up;
drop function gate_was_skipped;
drop function forget_members;
drop function forget;
drop function fail_dag;
drop function fail;
drop function explain_waiting;
drop function explain_time;
drop function explain_scheduled;
drop function explain_running;
drop function explain_ready;
drop function explain_queue;
drop function explain_one;
drop function explain_job;
drop function explain_finished;
drop function explain_deepest;
drop function explain_age;
drop function expire_dags;
drop function expire;
drop function expand_maps_of;
drop function expand_map;
drop function events_wanted;
drop function event_channel;
drop function enqueue_reserve;
drop function enqueue_one;
drop function enqueue_many;
drop function enqueue;
drop function end_dags;
drop function end_attempts;
drop function edge_outcome;
drop function doomed_dags;
drop function doom_dags;
drop function do_chores;
drop function disown;
drop function deliver;
drop function delete;
drop function decide;
drop function dag_upstream;
drop function dag_theme;
drop function dag_submit;
drop function dag_style;
drop function dag_spec;
drop function dag_slowest;
drop function dag_retry;
drop function dag_resume;
drop function dag_result;
drop function dag_reset;
drop function dag_refuse;
drop function dag_progress;
drop function dag_problems_without;
drop function dag_problems_values;
drop function dag_problems_unreadable;
drop function dag_problems_subs;
drop function dag_problems_shapes;
drop function dag_problems_scopes;
drop function dag_problems_rules;
drop function dag_problems_path;
drop function dag_problems_order;
drop function dag_problems_options;
drop function dag_problems_node_of;
drop function dag_problems_names;
drop function dag_problems_links;
drop function dag_problems_label;
drop function dag_problems_job_of;
drop function dag_problems_fields;
drop function dag_problems_entries;
drop function dag_problems_document;
drop function dag_problems_cycle;
drop function dag_problems_broken;
drop function dag_problems_bodies;
drop function dag_problems_befores;
drop function dag_problems;
drop function dag_named;
drop function dag_mermaid;
drop function dag_levels;
drop function dag_items;
drop function dag_insert;
drop function dag_hold;
drop function dag_graph_root;
drop function dag_graph_pace;
drop function dag_graph_mermaid_text;
drop function dag_graph_label;
drop function dag_graph_json;
drop function dag_graph_dot_text;
drop function dag_fork;
drop function dag_forget_items;
drop function dag_fail;
drop function dag_extend;
drop function dag_explain;
drop function dag_downstream;
drop function dag_dot;
drop function dag_cycle;
drop function dag_critical_path;
drop function dag_complete;
drop function dag_check_open;
drop function dag_check_cycle;
drop function dag_cancel;
drop function dag_answer;
drop function dag_add;
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
drop function carry_out;
drop function cancel_all;
drop function cancel;
drop function begin_map;
drop function backoff_problem;
drop function backoff_delay;
drop function answer_node;
drop function announce;
drop function advisory_key;
drop function add_logs;
