-- Code generated from pgq/sql by "make migrations". DO NOT EDIT.
--
-- The functions and views. Replaces nothing but them, takes locks on nothing else; workers that run the
-- functions meanwhile finish the call they are in.

-- +goose Up
set local lock_timeout = '5s';
set local check_function_bodies = off;

-- +goose StatementBegin
-- ack_events(name, token, up_to, skipped): says that the events of a lease are done, all or those up to an id, and ends the lease. In the
-- transaction that writes what was done about them it makes that happen exactly once. skipped is how many of them were given up.
-- False: the lease was lost, somebody else has the events; roll back. Raises PQ001 when skipped is negative. Locks: the consumer's row.
-- roles: worker, operator
create function ack_events(name text, token bigint, up_to bigint default null, skipped integer default 0) returns boolean
language plpgsql security definer set search_path from current
as $$
begin
    if skipped is null or skipped < 0 then
        perform invalid('skipped', 'must not be negative');
    end if;
    return move_position(ack_events.name, ack_events.token, coalesce(ack_events.up_to, 9223372036854775807), ack_events.skipped);
end
$$;
comment on function ack_events is 'Says that leased events are done.';
-- +goose StatementEnd

-- +goose StatementBegin
-- act_as_owner(begins): lets what this session enqueues from now on be enqueued as by an owner of the schema, or ends that. For
-- chores: the worker that does them need not be allowed to enqueue. Internal, between the two nothing runs but the
-- schema's own functions; an error in between takes it back. Does nothing for owners. See check_producer.
create function act_as_owner(begins boolean) returns void
language plpgsql
as $$
begin
    if not begins then
        delete from acting a where a.pid = pg_backend_pid();
    elsif not is_owner(caller()) then
        insert into acting (pid) values (pg_backend_pid()) on conflict do nothing;
    end if;
end
$$;
comment on function act_as_owner is 'Lets chores enqueue whoever does them.';
-- +goose StatementEnd

-- +goose StatementBegin
-- add_backlogs(queues, groups, kinds, priorities): notes that jobs of these wait for their turn. Internal: whoever puts such jobs into waiting.
-- A group begins at the time of its queue, or where its other jobs are: who was away gets no credit for it.
-- Takes no locks, so that enqueuers of one group do not wait for each other: two of them may add the same row. One that is said to be empty does
-- not count: it may be deleted before these jobs are committed.
create function add_backlogs(queues text[], groups text[], kinds text[], priorities smallint[]) returns void
language sql
as $$
    insert into backlogs (queue, group_name, kind, priority, turn)
    select u.queue, u.group_name, u.kind, u.priority,
           greatest((select max(b.turn) from backlogs b where b.queue = u.queue and b.group_name = u.group_name),
                    (select c.time from clocks c where c.queue = u.queue), 0)
    from (select distinct a.queue, coalesce(a.group_name, '') as group_name, a.kind, a.priority
          from unnest(queues, groups, kinds, priorities) a(queue, group_name, kind, priority)) u
    where not exists (
        select from backlogs b
        where b.queue = u.queue and b.group_name = u.group_name and b.kind = u.kind and b.priority = u.priority and b.emptied_at is null offset 0)
$$;
comment on function add_backlogs is 'Notes that jobs wait for their turn.';
-- +goose StatementEnd

-- +goose StatementBegin
-- add_logs(job_ids, attempts, times, levels, messages, attrs): keeps log lines of handlers, to be read with the
-- job while it runs and after. Lines of jobs that were deleted are dropped, messages are cut at 20,000 characters.
-- Raises PQ001 for the first line that breaks a rule ("levels[3]"); none is kept then. Locks: rows of jobs against deletion.
-- roles: worker
create function add_logs(
    job_ids bigint[], attempts integer[], times timestamptz[], levels text[], messages text[], attrs jsonb[])
returns void
language plpgsql security definer set search_path from current
as $$
declare
    bad record;
begin
    select u.place - 1 as index, p.problem into bad
    from unnest(job_ids, attempts, times, levels, messages) with ordinality u(job_id, attempt, at, level, message, place),
         log_problem(u.job_id, u.attempt, u.at, u.level, u.message) p(problem)
    where p.problem is not null
    order by u.place limit 1;
    if found then
        perform invalid(format('%ss[%s]', bad.problem[1], bad.index), bad.problem[2]);
    end if;
    insert into logs (job_id, attempt, at, level, message, attrs)
    select u.job_id, u.attempt, u.at, u.level, left(u.message, 20000), u.attrs
    from unnest(job_ids, attempts, times, levels, messages, attrs) with ordinality u(job_id, attempt, at, level, message, attrs, place)
    join jobs j on j.id = u.job_id
    order by u.place
    for key share of j;
end
$$;
comment on function add_logs is 'Keeps log lines of handlers.';
-- +goose StatementEnd

-- +goose StatementBegin
-- add_strikes(job_ids, attempts): notes failed attempts for the circuit breakers of their queues, kinds and groups. Internal: end_attempts.
-- Only adds rows, so that those whose jobs fail at the same time do not wait for each other. Who deals next counts them (tend_breakers).
create function add_strikes(job_ids bigint[], attempts integer[]) returns void
language sql
as $$
    insert into strikes (scope, name, at, job_id, attempt)
    select s.scope, s.name, clock_timestamp(), u.id, u.attempt
    from unnest(job_ids, attempts) u(id, attempt)
    cross join lateral (select queue, kind, group_name from jobs where jobs.id = u.id offset 0) j
    cross join lateral (values ('queue', j.queue), ('kind', j.kind), ('group', j.group_name)) s(scope, name)
    where exists (select from breaker_of(s.scope, s.name))
$$;
comment on function add_strikes is 'Notes failed attempts for circuit breakers.';
-- +goose StatementEnd

-- +goose StatementBegin
-- add_vacancies(groups): notes that there may be room for these groups, or for those whose names begin so ("*" at the end). Internal: whoever
-- makes room. Takes no locks; who deals next looks at them (unpark).
create function add_vacancies(groups text[]) returns void
language sql
as $$
    insert into vacancies (group_name) select distinct u.name from unnest(groups) u(name) where u.name is not null
$$;
comment on function add_vacancies is 'Notes that there may be room for groups.';
-- +goose StatementEnd

-- +goose StatementBegin
-- adopt_events(): makes events and consumers whose tables were restored from a dump of another server right for this one, whose transactions
-- are numbered anew. Each consumer goes on at its oldest unread event: some may come again, none is lost. Returns how many events there are.
-- Call it before anything else is written. Locks: the table events against writing, all consumers.
-- roles: owner
create function adopt_events() returns bigint
language plpgsql set search_path from current
as $$
declare
    adopted bigint;
begin
    lock table events in share row exclusive mode;
    update consumers c
    set to_id = least(coalesce((select min(e.id) - 1 from events e where e.id > read_up_to(c) and is_unread(c, e.xid, e.id)), newest_event_id()),
                      newest_event_id());
    update events set xid = '3' where xid <> '3';
    get diagnostics adopted = row_count;
    update consumers c
    set (from_xid, from_open, to_xid, to_open, to_open_ids, to_id, after_id, exhausted)
          = (select s.from_xid, s.from_open, s.to_xid, s.to_open, s.to_open_ids, s.to_id, s.after_id, s.exhausted from consumer_start(c.to_id::text) s),
        token = c.token + 1, leased_id = null, leased_last = null, leased_count = null, leased_until = null, leased_by = null;
    return adopted;
end
$$;
comment on function adopt_events is 'Makes events that were restored from another server right for this one.';
-- +goose StatementEnd

-- +goose StatementBegin
-- advance_sequences(job_ids): lets the sequences go on of which these jobs were the heads. Internal: the caller has just ended or deleted the
-- jobs in this transaction, in a statement before. A head that failed for good stops its sequence, or lets those behind it be
-- skipped, if its on_failure says so; every other end passes the turn to the next in line (next_in_line).
-- Locks: rows of sequences by key, then what next_in_line locks.
create function advance_sequences(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    ended record;
begin
    perform s.key from sequences s where s.job_id = any(job_ids) order by s.key for no key update;
    select array_agg(e.key) filter (where e.outcome = 'stop') as stopping, array_agg(e.key) filter (where e.outcome = 'skip') as skipping,
           array_agg(e.key order by e.key) filter (where e.outcome <> 'stop') as going_on
    into ended
    from (
        select s.key, case when f.state = 'failed' then coalesce(j.on_failure, 'stop') else 'continue' end as outcome
        from (select key, job_id from sequences where job_id = any(job_ids) offset 0) s
        left join lateral (select state from results where results.job_id = s.job_id offset 0) f on true
        left join lateral (select on_failure from jobs where jobs.id = s.job_id offset 0) j on true) e;
    if ended.stopping is not null then
        update sequences s set stopped_at = clock_timestamp() where s.key = any(ended.stopping);
        perform record_event('sequence_stopped', j.id, j.queue, null, null, jsonb_build_object('sequence', j.sequence))
        from jobs j where j.id = any(array(select s.job_id from sequences s where s.key = any(ended.stopping)));
    end if;
    if ended.skipping is not null then
        update sequences s set job_id = null, cause_id = s.job_id, skip_to = (
            select w.job_id from waiting w where w.sequence = s.key order by w.job_id desc limit 1)
        where s.key = any(ended.skipping)
          and exists (select from waiting w where w.sequence = s.key);
    end if;
    if ended.going_on is not null then
        perform next_in_line(ended.going_on);
    end if;
end
$$;
comment on function advance_sequences is 'Lets sequences go on whose heads have ended.';
-- +goose StatementEnd

-- +goose StatementBegin
-- advisory_key(name): the key of an advisory lock of this schema.
-- Takes no lock itself. Every advisory lock of the product goes through this function, so that two
-- schemas in one database never meet, whatever their names: one with a slash is in quotes.
create function advisory_key(name text) returns bigint
language sql stable
as $$ select hashtextextended('pgq/' || quote_ident(current_schema()) || '/' || name, 0) $$;
comment on function advisory_key is 'Key of an advisory lock of this schema.';
-- +goose StatementEnd

-- +goose StatementBegin
-- announce(job_ids, queue_names, wake_workers): the last step of a bulk enqueue by COPY: writes that the jobs were
-- enqueued, for queues that want to hear of it (null: nobody does), and wakes workers. Internal: the Go client's EnqueueMany.
-- roles: owner
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
-- any_key_known(keys): whether one of these unique keys stands for a job already. Internal: the Go client's EnqueueMany, which then does not try to
-- copy them. Locks nothing: what it says is a guess at what will be so when they are copied.
-- roles: owner
create function any_key_known(keys text[]) returns boolean
language sql stable set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off
as $$
    select exists (select from unique_keys u where u.key = any(keys))
$$;
comment on function any_key_known is 'Whether a unique key stands for a job already.';
-- +goose StatementEnd

-- +goose StatementBegin
-- apply_grants(role_ids): makes the rights on functions and views what grants and rights say, for these database roles (null: for
-- all of grants): PUBLIC has none, nor has anybody on tables. The last step of the migration of the functions, and to be called
-- after a restore. Roles that are gone are forgotten. Rights that were given to other roles by hand are left alone, but for that to create objects
-- in the schema: with it, or with objects of others in the schema, nothing is done and 55000 is raised (check_schema).
-- Locks: what GRANT locks.
-- roles: owner
create function apply_grants(role_ids oid[] default null) returns void
language plpgsql set search_path from current
as $$
declare
    schema text;
    target record;
begin
    perform check_schema(current_schema()); -- before any other function is called, which might be somebody else's
    schema := quote_ident(current_schema());
    delete from grants g where not exists (select from pg_roles r where r.oid = g.role_id);
    delete from producers p where not exists (select from pg_roles r where r.oid = p.role_id);
    execute format('revoke all on schema %s from public', schema);
    execute format('revoke all on all functions in schema %s from public', schema);
    execute format('revoke all on all tables in schema %s from public', schema);
    execute format('revoke all on all sequences in schema %s from public', schema);
    for target in
        select r.id, r.id::regrole as name, array_agg(distinct c.class) filter (where c.class is not null) as classes
        from unnest(coalesce(role_ids, array(select distinct g.role_id from grants g))) r(id)
        left join grants g on g.role_id = r.id
        left join lateral unnest(case
            when g.class = 'reader' and g.tenant <> '*' then array['tenant']
            when g.payloads then array['reader', 'payloads']
            else array[g.class] end) c(class) on true
        group by r.id
    loop
        execute format('revoke all on schema %s from %s', schema, target.name);
        execute format('revoke all on all functions in schema %s from %s', schema, target.name);
        execute format('revoke all on all tables in schema %s from %s', schema, target.name);
        execute format('revoke all on all sequences in schema %s from %s', schema, target.name);
        if target.classes is not null then
            execute format('grant usage on schema %s to %s', schema, target.name);
            execute format('grant select on schema_migrations to %s', target.name);
            execute (
                select string_agg(
                    case when p.oid is null then format('grant select on %I to %s;', r.object, target.name)
                         else format('grant execute on function %s to %s;', p.oid::regprocedure, target.name) end, ' ')
                from (select distinct object from rights where class = any(target.classes)) r
                left join pg_proc p on p.proname = r.object and p.pronamespace = quote_ident(current_schema())::regnamespace);
        end if;
    end loop;
end
$$;
comment on function apply_grants is 'Makes the rights on functions and views what grants and rights say.';
-- +goose StatementEnd

-- +goose StatementBegin
-- apply_verb(verb, job_ids, queue, run_at, priority, reason, actor): calls the verb for jobs by id. Internal: change_jobs.
create function apply_verb(verb text, job_ids bigint[], queue text, run_at timestamptz, priority integer, reason text, actor text)
returns table (job_id bigint, outcome text)
language plpgsql
as $$
begin
    case verb
        when 'cancel' then return query select * from cancel(job_ids, reason, actor);
        when 'retry' then return query select * from retry(job_ids, reason, actor);
        when 'delete' then return query select * from delete(job_ids, reason, actor);
        when 'move' then return query select * from move(job_ids, queue, reason, actor);
        when 'reschedule' then return query select * from reschedule(job_ids, run_at, null, reason, actor);
        when 'set_priority' then return query select * from set_priority(job_ids, priority, reason, actor);
    end case;
end
$$;
comment on function apply_verb is 'Calls a verb for jobs by id.';
-- +goose StatementEnd

-- +goose StatementBegin
-- args_fit(args, keys, allowed): whether at each of the paths (arrays of keys and indexes) the args have one of the values
-- that are allowed there. JSON's equality: numbers are compared exactly, 1.0 equals 1. Internal: select_jobs.
create function args_fit(args jsonb, keys jsonb, allowed jsonb) returns boolean
language sql immutable
as $$
    select not exists (
        select from jsonb_array_elements(keys) with ordinality k
        where not coalesce(
            args #> array(select jsonb_array_elements_text(k.value))
                = any(array(select jsonb_array_elements(allowed -> (k.ordinality - 1)::integer))), false))
$$;
comment on function args_fit is 'Whether args have one of some values at each of some paths.';
-- +goose StatementEnd

-- +goose StatementBegin
-- await_step(worker_id, job_id, attempt, name, type, delay): a handler sleeps (type sleep) or waits for a signal (type signal). The
-- first call of a name notes until when (now + delay; null: without limit), later ones keep to that, in whatever attempt.
-- Outcome: done (the sleep is over; the signal is there, and output is its value), timed_out (no signal came in time; that stays so),
-- open (the handler shall return, and the worker call suspend), lost (the lease is not the worker's any more, nothing was written).
-- Raises PQ001 for a name that is no name or belongs to something of another type, and for a negative delay.
-- Locks: the row of running against its end; then the row of steps, for which it waits when a signal is being sent.
-- roles: worker
create function await_step(
    worker_id bigint, job_id bigint, attempt integer, name text, type text, delay interval, out outcome text, out output jsonb)
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    now constant timestamptz := clock_timestamp();
    step steps;
begin
    if coalesce(type not in ('sleep', 'signal'), true) then
        perform invalid('type', 'must be sleep or signal');
    elsif delay < interval '0' or delay is null and type = 'sleep' then
        perform invalid('delay', 'must not be negative');
    elsif delay > interval '100 years' then
        perform invalid('delay', 'must be at most 100 years');
    elsif not holds_lease(worker_id, job_id, attempt) then
        outcome := 'lost';
        return;
    end if;
    insert into steps (job_id, name, type, attempt, wake_at)
    values (job_id, check_step_name(name), type, attempt, now + delay)
    on conflict on constraint steps_pkey do nothing;
    perform check_step_type(job_id, name, type);
    select * into step from steps s where s.job_id = await_step.job_id and s.name = await_step.name for update;
    if step.done_at is null and step.wake_at <= now then
        update steps s set done_at = now, timed_out = type = 'signal'
        where s.job_id = await_step.job_id and s.name = await_step.name
        returning * into step;
    elsif step.done_at is null and step.attempt <> attempt then
        update steps s set attempt = await_step.attempt where s.job_id = await_step.job_id and s.name = await_step.name;
    end if;
    outcome := case when step.timed_out then 'timed_out' when step.done_at is not null then 'done' else 'open' end;
    output := step.output;
end
$$;
comment on function await_step is 'A handler sleeps or waits for a signal.';
-- +goose StatementEnd

-- +goose StatementBegin
-- backoff_delay(policy, attempt): how long to wait after the given failed attempt (1 is the first).
-- constant: base; linear: base * attempt; polynomial: base * attempt^exponent, exponent 2 by default; exponential: base *
-- factor^(attempt - 1), factor 2 by default; table: the delay of the attempt, the last one for all attempts after it.
-- The cap comes before the jitter, which spreads the delay evenly over +/- jitter * delay.
create function backoff_delay(policy jsonb, attempt integer) returns interval
language sql volatile
as $$
    select make_interval(secs =>
        least(
            case policy ->> 'type'
                when 'table' then
                    coalesce((policy -> 'delays' ->> (least(attempt, jsonb_array_length(policy -> 'delays')) - 1))::double precision, 0)
                else coalesce((policy ->> 'base')::double precision, 0) * case policy ->> 'type'
                    when 'linear' then attempt
                    when 'polynomial' then power(attempt, coalesce((policy ->> 'exponent')::double precision, 2))
                    when 'exponential' then
                        power(coalesce((policy ->> 'factor')::double precision, 2), least(attempt - 1, 100))
                    else 1 end
            end,
            coalesce((policy ->> 'cap')::double precision, 31536000))
        * (1 + coalesce((policy ->> 'jitter')::double precision, 0) * (2 * random() - 1)))
$$;
comment on function backoff_delay is 'Delay after a failed attempt under a backoff policy.';
-- +goose StatementEnd

-- +goose StatementBegin
-- backoff_delays_problem(delays): what is wrong with the delays of a backoff that is a table; null when nothing is. Internal: backoff_problem.
create function backoff_delays_problem(delays jsonb) returns text
language plpgsql immutable
as $$
begin
    if jsonb_typeof(delays) is distinct from 'array' then
        return 'must have delays, an array of seconds';
    elsif jsonb_array_length(delays) not between 1 and 100 then
        return 'must have 1 to 100 delays';
    elsif exists (select from jsonb_array_elements(delays) d(value) where jsonb_typeof(d.value) <> 'number') then
        return 'must have numbers as delays';
    elsif exists (select from jsonb_array_elements(delays) d(value) where d.value::numeric not between 0 and 31536000) then
        return 'must have delays of 0 to 31536000 seconds';
    end if;
    return null;
end
$$;
comment on function backoff_delays_problem is 'What is wrong with the delays of a backoff, or null.';
-- +goose StatementEnd

-- +goose StatementBegin
-- backoff_problem(policy): what is wrong with a backoff policy; null when nothing is.
-- A policy is {"type": "constant" | "linear" | "polynomial" | "exponential" | "table", "base": seconds, "factor": number,
-- "exponent": number, "delays": [seconds ...], "cap": seconds, "jitter": 0..1}; only type and base (of a table: delays) are required.
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
    elsif policy ->> 'type' is null or policy ->> 'type' not in ('constant', 'linear', 'polynomial', 'exponential', 'table') then
        return 'must have a type: constant, linear, polynomial, exponential or table';
    end if;
    for entry in select key, value from jsonb_each(policy) where key not in ('type', 'delays') loop
        if entry.key not in ('base', 'factor', 'exponent', 'cap', 'jitter') then
            return format('has an unknown field %s', to_json(entry.key));
        elsif jsonb_typeof(entry.value) <> 'number' then
            return format('must have a number as %s', entry.key);
        elsif entry.key in ('base', 'cap') and entry.value::numeric not between 0 and 31536000 then
            return format('must have a %s of 0 to 31536000 seconds', entry.key);
        elsif entry.key = 'factor' and entry.value::numeric not between 1 and 100 then
            return 'must have a factor of 1 to 100';
        elsif entry.key = 'exponent' and entry.value::numeric not between 0 and 10 then
            return 'must have an exponent of 0 to 10';
        elsif entry.key = 'jitter' and entry.value::numeric not between 0 and 1 then
            return 'must have a jitter of 0 to 1';
        end if;
    end loop;
    if policy ->> 'type' = 'table' then
        return backoff_delays_problem(policy -> 'delays');
    elsif policy ? 'delays' then
        return 'must have delays only as a table';
    elsif not policy ? 'base' then
        return 'must have a base in seconds';
    end if;
    return null;
end
$$;
comment on function backoff_problem is 'What is wrong with a backoff policy, or null.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batch_add(batch_id, jobs, member_id): adds jobs, a JSON array as in batch_submit, to a batch that is open, in the caller's transaction; {"batch": id} adds
-- another batch, which counts as one job and has to end before this one. Their ids in the order of the array. A job of the batch that runs (member_id) may
-- add others after the batch was closed, too, since it has not ended before that job has.
-- Raises PQ001 with the first field that breaks a rule ("jobs[3].kind"), for a batch that is closed or has ended, and for a batch that waits for
-- this one; PQ004 when there is no such batch; 42501 for producers that go beyond their rights. Nothing is written then.
-- What it costs depends on the jobs that are added, not on how many there are. Locks: those of dag_extend.
-- roles: producer, worker, operator
create function batch_add(batch_id bigint, jobs jsonb, member_id bigint default null) returns setof bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    members record;
    watched boolean;
    field text;
    detail text;
begin
    perform check_batch(batch_id);
    perform check_batch_producer(batch_id, jobs);
    perform check_batch_jobs(jobs);
    if jobs = '[]' then
        return;
    end if;
    if jsonb_path_exists(jobs, '$[*].batch') then
        perform pg_advisory_xact_lock(advisory_key('cycles'));
    end if;
    perform lock_dags(batch_id || array(select b::bigint from jsonb_path_query(jobs, '$[*].batch') b));
    perform w.job_id from waiting w
    where w.job_id = any(batch_id || array(
        select j.id from jobs j where j.dag_id = batch_add.batch_id and j.name in ('jobs', 'on_failure')))
    order by w.job_id for update;
    select w.pending + w.ok + w.failed + w.skipped - 1 as n into members
    from jobs j join waiting w on w.job_id = j.id
    where j.dag_id = batch_add.batch_id and j.name = 'jobs';
    if not found or exists (select from waiting w where w.job_id = batch_add.batch_id and w.ending is not null) then
        perform invalid('batch_id', format('must be a batch that has not ended; %s has', batch_id));
    elsif exists (select from results f where f.job_id = (
              select j.id from jobs j where j.dag_id = batch_add.batch_id and j.name = 'jobs/close'))
          and not exists (select from running r where r.job_id = batch_add.member_id and r.dag_id = batch_add.batch_id) then
        perform invalid('batch_id', format('must be an open batch; %s is closed', batch_id));
    end if;
    watched := exists (
        select from jobs j join waiting w on w.job_id = j.id where j.dag_id = batch_add.batch_id and j.name = 'on_failure');
    begin
        return query select e from dag_extend(batch_id, jsonb_build_object('nodes', batch_nodes(jobs, members.n, watched))) e;
    exception when sqlstate 'PQ001' then
        get stacked diagnostics field = column_name, detail = pg_exception_detail;
        perform batch_refuse(field, detail, members.n);
    end;
end
$$;
comment on function batch_add is 'Adds jobs to a batch that is open.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batch_cancel(batch_id, reason): cancels a batch, with its jobs and callbacks, and the batches in it that have not ended. Outcome per batch, as of
-- cancel: cancelled, requested (some of its jobs run: their workers are told to stop them), finished.
-- Raises PQ004 when there is no such batch. Locks: as cancel.
-- roles: operator
create function batch_cancel(batch_id bigint, reason text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    perform check_batch(batch_id);
    return query select c.job_id, c.outcome from cancel(batches_in(batch_id), reason) c order by c.job_id = batch_id, c.job_id;
end
$$;
comment on function batch_cancel is 'Cancels a batch and the batches in it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batch_close(batch_id): closes a batch: no more jobs are added to it, but by jobs that are in it and run, and it ends when its jobs have
-- ended. False: it was closed before. Raises PQ004 when there is no such batch. Locks: those of dag_complete.
-- roles: producer, worker, operator
create function batch_close(batch_id bigint) returns boolean
language plpgsql security definer set search_path from current
as $$
begin
    perform check_batch(batch_id);
    return dag_complete(batch_id, 'jobs/close') <> 'finished';
end
$$;
comment on function batch_close is 'Closes a batch: no more jobs are added.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batch_dag(spec): the DAG that a batch is (see dag_submit). Internal: batch_submit, which has checked the spec. Its nodes:
--
--   jobs        a sub-DAG; in it are the jobs, "jobs/0", "jobs/1" and so on, and
--   jobs/close  an external node, which is answered when the batch is closed: until then the sub-DAG does not end
--   on_done     comes after jobs, whatever became of them
--   on_success  comes after jobs, if all of them succeeded
--   on_failure  comes after each of the jobs, and runs as soon as one has failed; "close" keeps it from being skipped before
create function batch_dag(spec jsonb) returns jsonb
language sql immutable
as $$
    with members as materialized (
        select batch_nodes(coalesce(nullif(spec -> 'jobs', 'null'), '[]'), 0, false) as nodes
    )
    select jsonb_strip_nulls(jsonb_build_object(
               'name', spec -> 'name', 'key', spec -> 'key', 'queue', spec -> 'queue', 'priority', spec -> 'priority',
               'deadline', spec -> 'deadline', 'result_ttl', spec -> 'result_ttl', 'tags', spec -> 'tags',
               'on_failure', case when (spec ->> 'fail_fast')::boolean then 'cancel' end))
           || jsonb_build_object(
               'metadata', spec -> 'metadata',
               'nodes', '[{"name": "jobs", "type": "dag"}, {"name": "jobs/close", "type": "external"}]' || m.nodes
                        || coalesce(spec -> 'on_done' || '{"name": "on_done", "after": ["jobs"], "rule": "done"}', '[]')
                        || coalesce(spec -> 'on_success' || '{"name": "on_success", "after": ["jobs"]}', '[]')
                        || coalesce(spec -> 'on_failure' || jsonb_build_object(
                               'name', 'on_failure', 'rule', 'one_failed',
                               'after', '["jobs/close"]' || jsonb_path_query_array(m.nodes, '$[*].name')), '[]'))
    from members m
$$;
comment on function batch_dag is 'The DAG that a batch is.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batch_nodes(jobs, first, watched): the nodes that jobs of a batch are, numbered from first on; a batch in it ({"batch": id}) is a node that ends with
-- that one. watched: they come before on_failure, which is there already. Internal: batch_dag and batch_add.
create function batch_nodes(jobs jsonb, first bigint, watched boolean) returns jsonb
language sql immutable
as $$
    select coalesce(jsonb_agg(
        case when e.value ? 'batch'
            then jsonb_build_object('type', 'sleep', 'delay', '0', 'after', jsonb_build_array(jsonb_build_object('job', e.value -> 'batch')))
            else e.value end
        || jsonb_build_object('name', 'jobs/' || first + e.ordinality - 1)
        || case when watched then '{"before": ["on_failure"]}'::jsonb else '{}' end order by e.ordinality), '[]')
    from jsonb_array_elements(jobs) with ordinality e
$$;
comment on function batch_nodes is 'The nodes that jobs of a batch are.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batch_refuse(field, detail, first): raises PQ001 for what dag_submit or dag_extend have refused, named as in the spec of a batch or the jobs that were to
-- be added: field and detail are the COLUMN and DETAIL of their error, first is the number of the first job. Internal: batch_submit and batch_add.
create function batch_refuse(field text, detail text, first bigint) returns void
language plpgsql
as $$
declare
    problem constant jsonb := case when field = 'dag' then detail::jsonb -> 0 end;
    node constant text := problem ->> 'node';
begin
    if field = 'after' or problem ->> 'field' = 'after' then -- jobs of a batch come after other batches only
        perform invalid('jobs', 'must not have a batch that is this one, or that waits for it');
    elsif problem is null then
        perform invalid(field, detail);
    end if;
    perform invalid(
        case when node like 'jobs/%' then format('jobs[%s].', substr(node, 6)::bigint - first) else coalesce(node || '.', '') end
        || (problem ->> 'field'), problem ->> 'rule');
end
$$;
comment on function batch_refuse is 'Refuses a batch as its caller knows it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batch_retry(batch_id): runs the jobs again, in place, that failed, were cancelled or expired, of a batch and of the batches in it. Callbacks that were
-- skipped or failed run when they come true, the others do not run again. A batch that was cancelled while it was open is open again. Returns the jobs
-- that were reset; none: there was nothing to do. Raises PQ004 when there is no such batch. Locks: those of dag_retry, for all of the batches.
-- roles: operator
create function batch_retry(batch_id bigint) returns setof bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    batches constant bigint[] := batches_in(batch_id);
    batch bigint;
begin
    perform check_batch(batch_id);
    perform pg_advisory_xact_lock(advisory_key('chores'));
    perform lock_dags(batches);
    -- Inner ones first: a batch is run again with what it comes after.
    foreach batch in array batches loop
        return query select r from dag_retry(batch) r;
    end loop;
end
$$;
comment on function batch_retry is 'Runs again what failed of a batch.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batch_submit(spec): adds a batch in the caller's transaction: a set of jobs, with jobs that are to run when all of these have ended, when
-- all have succeeded, or as soon as one has failed. Its id, and whether it was created: one with the same name and key is returned as it is.
--
--   select batch_id from pgq.batch_submit('{"name": "import", "jobs": [{"kind": "load", "args": {"file": 1}}, {"kind": "load"}],
--                                           "on_success": {"kind": "report"}}');
--
-- A batch is a DAG (see batch_dag): its id is that of the DAG, and whatever takes a DAG takes a batch. With "open": true more jobs can be
-- added (batch_add) until it is closed (batch_close), and it does not end before that, be it empty or all of its jobs done. The fields are listed in
-- docs/batches.md. Raises PQ001 with the first field that breaks a rule ("jobs[3].kind", "on_done.queue"), 42501 for
-- producers that go beyond their rights; nothing is written then. Locks: those of dag_submit.
-- roles: producer
create function batch_submit(spec jsonb, out batch_id bigint, out created boolean)
language plpgsql security definer set search_path from current
set jit = off
as $$
#variable_conflict use_variable
declare
    field text;
    detail text;
begin
    if not is_owner(caller()) then
        perform check_producer(coalesce(spec ->> 'queue', 'default') || queues_named(
            jsonb_path_query_array(spec, '$.jobs[*]') || jsonb_path_query_array(spec, '$.on_done') || jsonb_path_query_array(spec, '$.on_success')
            || jsonb_path_query_array(spec, '$.on_failure'), coalesce(spec ->> 'queue', 'default')));
    end if;
    perform check_batch_spec(spec);
    begin
        select s.dag_id, s.created into batch_id, created from dag_submit(batch_dag(spec)) s;
    exception when sqlstate 'PQ001' then
        get stacked diagnostics field = column_name, detail = pg_exception_detail;
        perform batch_refuse(field, detail, 0);
    end;
    if created and not coalesce((spec ->> 'open')::boolean, false) then
        perform dag_complete(batch_id, 'jobs/close');
    end if;
end
$$;
comment on function batch_submit is 'Adds a batch in the caller''s transaction.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batches_in(batch_id): a batch and the batches in it, innermost ones first. Internal.
create function batches_in(batch_id bigint) returns bigint[]
language sql stable
as $$
    with recursive batches as (
        select batch_id as id, 0 as depth
        union
        select d.id, b.depth + 1
        from batches b
        join jobs n on n.dag_id = b.id and n.role = 'sleep'
        cross join lateral (select parent_id from edges where child_id = n.id offset 0) e
        cross join lateral (select id from jobs where jobs.id = e.parent_id and role = 'dag' and dag_id is null offset 0) d
    )
    select array_agg(id order by depth desc, id) from (select id, max(depth) as depth from batches group by id) b
$$;
comment on function batches_in is 'A batch and the batches in it.';
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
-- breaker_of(scope, name): the limit that holds for a queue, a kind or a group, if it has a circuit breaker; no row if not. Internal, inlined.
create function breaker_of(scope text, name text) returns setof limits
language sql stable
as $$
    select l.* from limits l
    where breaker_of.scope <> 'group' and l.scope = breaker_of.scope and l.name = breaker_of.name and l.break_after is not null
    union all
    select l.* from limit_of(breaker_of.name) l where breaker_of.scope = 'group' and l.break_after is not null
$$;
comment on function breaker_of is 'The limit that holds, if it has a circuit breaker.';
-- +goose StatementEnd

-- +goose StatementBegin
-- call_back(callers, event): enqueues the callbacks for an event (on_success, on_failure, on_retry) of those of these jobs that have one, as the job asked
-- that was enqueued with them: in the transaction in which the event happens, whether their queues are full or not, since what happened
-- cannot be refused. The metadata of a callback say of which job it is, and what became of that: {"callback": {"job_id", "kind", "event", "state", "attempt",
-- "error"}}, the error cut at 2,000 characters. Internal: whatever ends jobs and attempts, in a statement after the one that does.
create function call_back(callers bigint[], event text) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    caller_ids bigint[];
    callbacks jsonb;
    queues text[];
begin
    select array_agg(j.id order by u.place), jsonb_agg(j.spec -> 'callbacks' -> event order by u.place)
    into caller_ids, callbacks
    from unnest(callers) with ordinality u(id, place)
    cross join lateral (select id, spec from jobs where jobs.id = u.id offset 0) j
    where j.spec -> 'callbacks' ? event;
    if caller_ids is null then
        return;
    end if;
    with input as materialized (
        select nextval('jobs_id_seq') as id, i.*, now() + i.delay as due, j.enqueued_by,
               jsonb_strip_nulls(jsonb_build_object(
                   'job_id', j.id, 'kind', j.kind, 'event', event,
                   'state', case when f.state is not null then f.state when e.run_at is null then 'ready' else 'scheduled' end,
                   'attempt', coalesce(f.attempt, e.attempt),
                   'error', left(case when f.state is null then e.error else f.error end, 2000))) as about
        from jobs_from_json(callbacks) i
        cross join lateral (select id, kind, enqueued_by from jobs where jobs.id = caller_ids[i.index + 1] offset 0) j
        left join lateral (select state, attempt, error from results where job_id = j.id offset 0) f on true
        left join lateral (
            select attempt, error, run_at from attempt_errors where job_id = j.id order by attempt desc limit 1) e on true
    ), added as (
        insert into jobs (id, queue, kind, priority, max_attempts, timeout, backoff, result_ttl, expires_at, tags, metadata, codec, payload, args, enqueued_by)
        select id, queue, kind, priority, max_attempts, timeout, backoff, result_ttl, now() + ttl, tags,
               coalesce(metadata, '{}') || jsonb_build_object('callback', about), codec, payload, args, enqueued_by
        from input
    ), delayed as (
        insert into scheduled (job_id, queue, run_at) select id, queue, due from input where due > now()
    ), mortal as (
        insert into expiries (expires_at, job_id) select now() + ttl, id from input where ttl is not null
    ), added_ready as (
        insert into ready (queue, priority, seq, job_id, kind)
        select queue, priority, id, id, kind from input where due is null or due <= now()
    ), told as (
        insert into events (job_id, queue, type)
        select id, queue, 'enqueued' from input where events_wanted() and wants_event(queue, false)
    )
    select array_agg(distinct queue) into queues from input;
    perform wake(queues);
end
$$;
comment on function call_back is 'Enqueues callbacks of jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- callbacks_problem(callbacks): the field of a node's callbacks that breaks a rule, and the rule; null if none does. Internal: dag_problems_broken, which
-- reports all that is wrong with a DAG and raises nothing.
create function callbacks_problem(callbacks jsonb) returns text[]
language plpgsql stable
as $$
declare
    field text;
    rule text;
begin
    if callbacks is null then
        return null;
    end if;
    perform check_callbacks_object('callbacks', callbacks);
    return null;
exception
    when sqlstate 'PQ001' then
        get stacked diagnostics field = column_name, rule = pg_exception_detail;
        return array[field, rule];
end
$$;
comment on function callbacks_problem is 'What is wrong with callbacks of a node.';
-- +goose StatementEnd

-- +goose StatementBegin
-- caller(): the database role that a session acts as, whichever functions are between: that of SET ROLE, else the one
-- that logged in. Inside of a SECURITY DEFINER function current_user is the owner of the schema. Null for a role that was renamed or
-- dropped meanwhile. Internal: without a search_path of its own, so that it can be inlined.
create function caller() returns oid
language sql stable
as $$
    select to_regrole(quote_ident(case current_setting('role') when 'none' then session_user else current_setting('role') end))::oid
$$;
comment on function caller is 'The database role that a session acts as.';
-- +goose StatementEnd

-- +goose StatementBegin
-- cancel(job_ids, reason, actor): cancels jobs. Outcome per job: cancelled (it waited and is finished now), requested
-- (it runs: its worker is told to stop it; it ends as cancelled unless it completes first), finished
-- (nothing to cancel), not_found. A DAG, a sub-DAG and a map are cancelled with all their nodes; requested means that
-- some of these run. The children of a cancelled job take it as a failure.
-- actor: who does it, the session's user by default; it is kept with the events.
-- Locks: the DAGs; rows of waiting by job, what withdraw locks, then rows of running in the order of their ids. Never undone half-way:
-- all in the caller's transaction.
-- roles: operator
create function cancel(job_ids bigint[], reason text default null, actor text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
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
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by array_position('{waiting,scheduled,ready,running}', p.place), p.place loop
            if found_at.place in ('ready', 'scheduled') then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw(found_at.ids) w;
                perform settle(gone.ids, gone.queues, gone.attempts, 'cancelled', coalesce(reason, 'cancelled'), more => operator_data(null, actor));
                return query select id, 'cancelled' from unnest(gone.ids) id where id = any(job_ids);
                moved := moved || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'waiting' then
                perform keep_waited(found_at.ids);
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into gone from withdraw_waiting(found_at.ids) w;
                perform settle(gone.ids, gone.queues, gone.attempts, 'cancelled', coalesce(reason, 'cancelled'), more => operator_data(null, actor));
                return query select id, 'cancelled' from unnest(gone.ids) id where id = any(job_ids);
                moved := moved || array(
                    select unnest(found_at.ids) except select unnest(gone.ids)
                    except select w.job_id from waiting w where w.job_id = any(found_at.ids) and w.role in ('dag', 'items'));
            elsif found_at.place = 'running' then
                with marked as (
                    update running r
                    set cancel_requested_at = coalesce(r.cancel_requested_at, now()), cancel_reason = coalesce(r.cancel_reason, reason)
                    from (select job_id from running where job_id = any(found_at.ids) order by job_id for update) l
                    where r.job_id = l.job_id
                    returning r.job_id, r.queue, r.attempt, r.worker_id
                ), told as (
                    select m.job_id,
                           pg_notify(channel(), format('cancel %s %s %s', m.worker_id, m.job_id, m.attempt)),
                           record_event('cancel_requested', m.job_id, m.queue, m.attempt, m.worker_id,
                                        operator_data(reason, actor))
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
                left join lateral (select job_id, role from waiting where job_id = id offset 0) w on true
                left join lateral (select finished_at from results where job_id = id offset 0) f on true
                where f.finished_at is not null or w.role in ('dag', 'items');
            return;
        end if;
        pending := moved;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function cancel is 'Cancels jobs. Says of each: cancelled, requested (it runs, and its worker is told to stop it), finished or not_found. reason: what its error will be.';
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
-- change_jobs(verb, filter, settings, at_most, reason, actor): does what a verb does with jobs that fit a filter (see
-- select_jobs), in the order of their ids: one bounded batch. outcomes: how many jobs had which outcome, jobs: which ones; next: the
-- filter's "after" of the next call, null at the end. So all of it can be interrupted and resumed; each batch is all or nothing.
--
--   select * from pgq.change_jobs('cancel', '{"queues": ["mail"], "kinds": ["newsletter"]}', reason => 'recalled');
--
-- Verbs and their settings: cancel; retry {"rate": 50, "start_at": time} (so many per second; next_start_at is the start_at of
-- the next call); delete {"rate": 50} (a call deletes one second's worth at the most, and next_start_at is when the next one is to come); move {"queue": ...}; reschedule {"run_at": time}; set_priority {"priority": 0 to 9}. Outcomes as of
-- the verbs for single jobs; unchanged: it was ready already; missed: it did not fit any more, or somebody else
-- was about to move it; nothing was done.
-- The filter must have a field. Two at the same time wait for each other; no job is changed that does not fit at that moment.
-- Writes an event "operated": who (actor, else the session's user), when, why, verb, filter, outcomes; also for mute queues, and of the queue if the
-- jobs were all in one. Events of the jobs say who and why, too.
-- Raises PQ001 naming the field that is wrong; what the verb raises. A batch that raises has changed nothing.
-- Locks: "operators"; for retry of linked jobs the chores; the DAGs; what hold locks; what the verb locks.
-- roles: operator
create function change_jobs(
    verb text, filter jsonb, settings jsonb default '{}', at_most integer default 1000, reason text default null, actor text default null)
returns table (outcomes jsonb, next bigint, next_start_at timestamptz, jobs jsonb)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_variable
declare
    s constant record := read_settings(verb, settings);
    page record;
    held jsonb;
    fit bigint[];
    running bigint[] := '{}';
    unchanged bigint[] := '{}';
    began constant timestamptz := clock_timestamp();
    queue text;
begin
    perform read_filter(filter);
    if not exists (select from jsonb_each(filter) f where f.key not in ('after', 'before') and f.value <> 'null') then
        perform invalid('filter', 'must choose jobs: give at least one field');
    end if;
    perform pg_advisory_xact_lock(advisory_key('operators'));
    if verb = 'delete' and s.rate is not null and at_most > greatest(floor(s.rate), 1) then
        at_most := greatest(floor(s.rate), 1);
    end if;
    select * into page from select_jobs(filter, at_most);
    next := page.next;
    select case when min(j.queue) = max(j.queue) then min(j.queue) end into queue from jobs j where j.id = any(page.job_ids);
    if verb = 'retry' and exists (
        select from jobs j where j.id = any(page.job_ids)
          and (j.dag_id is not null or j.role is not null or exists (select from edges e where e.parent_id = j.id offset 0))) then
        perform pg_advisory_xact_lock(advisory_key('chores'));
    end if;
    perform lock_dags(page.job_ids);
    select coalesce(jsonb_object_agg(h.job_id, h.place), '{}') into held from hold(page.job_ids, verb = 'cancel') h;
    -- In one snapshot: what began to run since it was held, or not held, is missed.
    select k.job_ids, case when verb = 'cancel' then '{}' else array(select r.job_id from running r where r.job_id = any(k.job_ids)) end
    into fit, running
    from select_jobs(filter || jsonb_build_object('ids', page.job_ids), 10000) k;
    if verb = 'retry' then
        unchanged := array(select id from unnest(fit) id where held ->> id::text = 'ready');
    end if;
    fit := array(select id from unnest(fit) id where held ? id::text and id <> all(running) and id <> all(unchanged) order by id);
    select coalesce(jsonb_object_agg(o.outcome, o.ids), '{}') into jobs
    from (select o.outcome, array_agg(o.job_id order by o.job_id) as ids
          from (select v.outcome, v.job_id from apply_verb(verb, fit, s.queue, s.run_at, s.priority, reason, actor) v
                union all select 'running', id from unnest(running) id
                union all select 'unchanged', id from unnest(unchanged) id
                union all select 'missed', id from unnest(page.job_ids) id
                          where id <> all(fit) and id <> all(running) and id <> all(unchanged)) o
          group by o.outcome) o;
    select coalesce(jsonb_object_agg(e.key, jsonb_array_length(e.value)), '{}') into outcomes from jsonb_each(jobs) e;
    if verb = 'retry' and s.rate is not null then
        next_start_at := spread(array(select id::bigint from jsonb_array_elements_text(coalesce(jobs -> 'ready', '[]')) id), s.start_at, s.rate);
    elsif verb = 'delete' and s.rate is not null then
        next_start_at := began + coalesce((outcomes ->> 'deleted')::integer, 0) / s.rate * interval '1 s';
    end if;
    if page.job_ids <> '{}' then
        insert into events (type, queue, data)
        values ('operated', queue, jsonb_strip_nulls(jsonb_build_object(
            'verb', verb, 'by', coalesce(actor, session_user), 'user', session_user, 'reason', reason)) || jsonb_build_object(
            'filter', filter, 'settings', settings, 'outcomes', outcomes, 'first', page.job_ids[1], 'last', page.job_ids[cardinality(page.job_ids)]));
        perform notify_subscribers();
    end if;
    return next;
end
$$;
comment on function change_jobs is 'Does what a verb does with a batch of jobs that fit a filter.';
-- +goose StatementEnd

-- +goose StatementBegin
-- change_owners(who, begins): makes a database role a member of the one that owns the schema, or makes it none; returns whether it was a member. Raises
-- 42501 for those who may not: PostgreSQL lets superusers do that, and roles that were given the admin option, but not the owner itself.
-- Internal: grant_role and revoke_role.
create function change_owners(who oid, begins boolean) returns boolean
language plpgsql
as $$
declare
    owner constant regrole := (select relowner from pg_class where oid = 'grants'::regclass);
    had constant boolean := exists (select from pg_auth_members m where m.roleid = owner and m.member = who);
    change constant text := format(case when begins then 'grant %s to %s' else 'revoke %s from %s' end, owner, who::regrole);
begin
    execute change;
    return had;
exception when insufficient_privilege then
    raise exception using
        errcode = '42501',
        message = format('permission denied: %s may not change who is a member of %s', current_user, owner),
        detail = sqlerrm,
        hint = format('As a superuser, or as a role with admin option on %s: %s;', owner, change);
end
$$;
comment on function change_owners is 'Makes a role an owner of the schema, or none.';
-- +goose StatementEnd

-- +goose StatementBegin
-- changes(before, after): the fields of an object that are others than before, as they are now. Internal: events of settings.
create function changes(before jsonb, after jsonb) returns jsonb
language sql immutable
as $$
    select coalesce(jsonb_object_agg(a.key, a.value), '{}') from jsonb_each(after) a where a.value is distinct from before -> a.key and a.key <> 'updated_at'
$$;
comment on function changes is 'Fields of an object that have changed.';
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
-- check_batch(batch_id): raises PQ004 unless this is a batch that the caller may know of: a mere producer its own. Internal: the verbs of batches.
create function check_batch(batch_id bigint) returns void
language plpgsql stable
as $$
begin
    if batch_id is null or visible(array[batch_id]) = '{}' or not is_batch(batch_id) then
        raise exception using errcode = 'PQ004', message = format('there is no batch %s', coalesce(batch_id::text, 'null'));
    end if;
end
$$;
comment on function check_batch is 'Refuses what is no batch.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_batch_jobs(jobs): raises PQ001 unless this is a JSON array of at most 900,000 jobs, or batches by their ids, with no fields that those of a batch
-- do not have. What the fields hold is checked with the DAG. Internal: batch_submit and batch_add.
create function check_batch_jobs(jobs jsonb) returns void
language plpgsql stable
as $$
declare
    known constant text[] := '{kind,args,queue,group,priority,delay,max_attempts,timeout,backoff,tags,metadata,ttl,codec,payload,callbacks}';
    odd record;
begin
    if jsonb_typeof(jobs) is distinct from 'array' then
        perform invalid('jobs', 'must be a JSON array');
    elsif jsonb_array_length(jobs) > 900000 then
        perform invalid('jobs', 'must be at most 900000');
    end if;
    select e.ordinality - 1 as index, e.value as job into odd
    from jsonb_array_elements(jobs) with ordinality e
    where case when jsonb_typeof(e.value) <> 'object' then true
               when e.value - known = '{}' then false
               else e.value - 'batch' <> '{}' or not coalesce(is_batch(dag_problems_job_of(jsonb_build_object('job', e.value -> 'batch'))), false) end
    order by 1 limit 1;
    if not found then
        return;
    elsif jsonb_typeof(odd.job) <> 'object' then
        perform invalid(format('jobs[%s]', odd.index), 'must be a JSON object');
    elsif odd.job - 'batch' = '{}' then
        perform invalid(format('jobs[%s].batch', odd.index), format('must be the id of a batch; %s is none', left(odd.job ->> 'batch', 100)));
    elsif odd.job ? 'batch' then
        perform invalid(format('jobs[%s].batch', odd.index), 'must not be given together with other fields');
    end if;
    perform invalid(format('jobs[%s].%s', odd.index, left((select min(key) from jsonb_object_keys(odd.job - known) key), 128)),
                    'is not a field of a job of a batch');
end
$$;
comment on function check_batch_jobs is 'Refuses what are no jobs of a batch.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_batch_producer(batch_id, jobs): raises 42501 for a mere producer that would add jobs, or callbacks of these, of queues into which it may not enqueue, or batches of
-- others, to its batch. Internal: batch_add, before it looks at the jobs.
create function check_batch_producer(batch_id bigint, jobs jsonb) returns void
language plpgsql stable
as $$
declare
    foreign_id bigint;
begin
    if is_owner(caller()) or exists (
        select from grants g where g.class in ('operator', 'worker') and pg_has_role(caller(), g.role_id, 'usage'))
    then
        return;
    end if;
    perform check_producer(queues_named(check_batch_producer.jobs, (select d.queue from jobs d where d.id = check_batch_producer.batch_id)));
    select trunc(b::numeric)::bigint into foreign_id
    from jsonb_path_query(check_batch_producer.jobs, '$[*].batch ? (@.type() == "number" && @ >= 1 && @ < 9223372036854775807)') b
    where visible(array[trunc(b::numeric)::bigint]) = '{}' limit 1;
    if found then
        raise exception using errcode = '42501', message = format('permission denied to come after job %s', foreign_id);
    end if;
end
$$;
comment on function check_batch_producer is 'Refuses what a producer may not add to a batch.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_batch_spec(spec): raises PQ001 for what is wrong with the spec of a batch and is not seen in the DAG that is made of it.
-- Internal: batch_submit.
create function check_batch_spec(spec jsonb) returns void
language plpgsql stable
as $$
declare
    known constant text[] := '{name,key,queue,priority,deadline,fail_fast,open,tags,metadata,result_ttl,jobs,on_done,on_success,on_failure}';
    odd text;
begin
    if jsonb_typeof(spec) is distinct from 'object' then
        perform invalid('spec', 'must be a JSON object');
    end if;
    select left(key, 128) into odd from jsonb_object_keys(spec) key where key <> all(known) order by 1 limit 1;
    if found then
        perform invalid(odd, 'is not a field of a batch');
    end if;
    select key into odd from unnest('{fail_fast,open}'::text[]) key where jsonb_typeof(spec -> key) not in ('boolean', 'null') limit 1;
    if found then
        perform invalid(odd, 'must be true or false');
    end if;
    perform check_batch_jobs(coalesce(nullif(spec -> 'jobs', 'null'), '[]'));
    perform check_callback(key, spec -> key, false)
    from unnest('{on_done,on_success,on_failure}'::text[]) key where spec ? key;
end
$$;
comment on function check_batch_spec is 'Refuses what is wrong with the spec of a batch.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_callback(field, callback, plain): raises PQ001 for what is wrong with a job that is to be enqueued when something has happened to another one, as
-- an object like those of enqueue_many. That its kind must be known is checked as soon as any worker has ever been registered: a callback that
-- nobody is there for would be missed too late. plain: of a job, not of a batch,
-- whose callbacks are nodes of a DAG. Internal.
create function check_callback(field text, callback jsonb, plain boolean) returns void
language plpgsql stable
as $$
declare
    part text;
    rule text;
begin
    if jsonb_typeof(callback) <> 'object' then
        perform invalid(field, 'must be a JSON object');
    end if;
    select key into part
    from unnest('{unique,run_at,callbacks,sequence,on_failure}'::text[] || case when plain then 'group' else 'result_ttl' end) key
    where callback ? key limit 1;
    if found then
        perform invalid(field || '.' || part, 'must not be given for a callback');
    end if;
    begin
        perform check_jobs_json(jsonb_build_array(callback));
    exception
        when sqlstate 'PQ002' then
            null; -- it may have room when it is to be enqueued, and is enqueued anyhow
        when sqlstate 'PQ001' then
            get stacked diagnostics part = column_name, rule = pg_exception_detail;
            perform invalid(field || substr(part, length('jobs[0]') + 1), rule);
    end;
    if exists (select from known_kinds) and not exists (select from known_kinds k where k.name = callback ->> 'kind') then
        perform invalid(field || '.kind', format('must be a kind that workers know; %s is none', to_json(callback ->> 'kind')));
    end if;
end
$$;
comment on function check_callback is 'Refuses what is no callback.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_callbacks(jobs): raises PQ001 for the first job of a JSON array with callbacks that are none. Internal: check_jobs_json.
create function check_callbacks(jobs jsonb) returns void
language plpgsql stable
as $$
declare
    sort record;
begin
    -- Each sort once: mostly they are all the same.
    for sort in
        select min(j.index) as index, j.callbacks from jobs_from_json(jobs) j where j.callbacks is not null group by j.callbacks order by 1
    loop
        perform check_callbacks_object(format('jobs[%s].callbacks', sort.index), sort.callbacks);
    end loop;
end
$$;
comment on function check_callbacks is 'Refuses jobs with callbacks that are none.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_callbacks_object(field, callbacks): raises PQ001 unless these are callbacks by their events, or null. Internal: check_callbacks and
-- enqueue_special, which name the field differently.
create function check_callbacks_object(field text, callbacks jsonb) returns void
language plpgsql stable
as $$
declare
    odd text;
begin
    if jsonb_typeof(callbacks) <> 'object' then
        perform invalid(field, 'must be a JSON object');
    end if;
    select left(key, 128) into odd
    from jsonb_object_keys(callbacks) key where key not in ('on_success', 'on_failure', 'on_retry') order by 1 limit 1;
    if found then
        perform invalid(field, format('must be on_success, on_failure or on_retry; %s is none', to_json(odd)));
    end if;
    perform check_callback(field || '.' || key, value, true) from jsonb_each(callbacks) where value <> 'null';
end
$$;
comment on function check_callbacks_object is 'Refuses what are no callbacks by their events.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_consumer(name, queues, types, keep): raises PQ001 for the first field of a consumer that breaks a rule. Internal: set_consumer.
create function check_consumer(name text, queues text[], types text[], keep interval) returns void
language plpgsql stable
as $$
declare
    problem constant text[] := case
        when name is null or length(name) not between 1 and 128 then array['name', 'must have 1 to 128 characters']
        when name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then array['name', 'must not have control characters']
        when cardinality(queues) = 0 then array['queues', 'must name a queue, or be null for all']
        when cardinality(queues) > 1000 then array['queues', 'must be 1000 queues at most']
        when exists (select from unnest(queues) q where q is null or length(q) not between 1 and 128)
            then array['queues', 'must have 1 to 128 characters each']
        when cardinality(types) = 0 then array['types', 'must name a type, or be null for all']
        when exists (select from unnest(types) t where t is null) then array['types', 'must not have nulls']
        when keep is null or keep < interval '0' or keep > interval '10 years' then array['keep', 'must be 0 to 10 years']
    end;
    unknown text;
begin
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
    select t into unknown from unnest(types) t where t not in (select e.type from event_types() e) limit 1;
    if found then
        perform invalid('types', format('must be types of events (see event_types), and %L is none', left(unknown, 100)));
    end if;
end
$$;
comment on function check_consumer is 'Refuses a consumer that breaks a rule.';
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
-- check_grant(class, role_name): the id of a database role to which a class may be granted. Raises PQ001 when the class or the
-- role is none, 42501 unless the caller owns the schema. Internal: grant_role and revoke_role.
create function check_grant(class text, role_name text) returns oid
language plpgsql stable
as $$
declare
    owner constant oid := (select relowner from pg_class where oid = 'grants'::regclass);
    who constant oid := (select r.oid from pg_roles r where r.rolname = role_name);
begin
    if class is null or class not in ('producer', 'worker', 'operator', 'reader', 'owner') then
        perform invalid('class', 'must be producer, worker, operator, reader or owner');
    elsif who is null then
        perform invalid('role_name', format('must name an existing role of the database; %s does not exist', to_json(coalesce(role_name, ''))));
    elsif who = owner then
        perform invalid('role_name', format('must not be %s, which owns the schema', to_json(role_name)));
    elsif not pg_has_role(owner, 'usage') then
        raise exception using
            errcode = '42501',
            message = format('permission denied: only %s, which owns schema %s, can grant and revoke', owner::regrole, to_json(current_schema()));
    end if;
    return who;
end
$$;
comment on function check_grant is 'The id of a role to which a class may be granted.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_holders(job_ids): raises 42501 when one of the jobs, which have keys that the caller asks for, is neither visible to the caller nor in a queue
-- into which it may enqueue: then neither its id nor that it is there in place of a new one is to be told. Internal: whatever finds
-- that a unique key or that of a DAG is taken. Locks nothing.
create function check_holders(job_ids bigint[]) returns void
language plpgsql stable
as $$
begin
    perform from jobs j
    where j.id = any(array(select id from unnest(job_ids) id where id is not null except select unnest(visible(job_ids))))
      and not exists (
          select from grants g
          where g.class = 'producer' and g.queue in ('*', j.queue) and pg_has_role(caller(), g.role_id, 'usage'));
    if found then
        raise exception using
            errcode = '42501',
            message = 'permission denied: the key is that of a job in a queue into which the caller may not enqueue',
            detail = format('Asked for the role of the session, %s. Keys are shared by all queues and producers.', caller()::regrole),
            hint = 'Begin keys with something of your own.';
    end if;
end
$$;
comment on function check_holders is 'Refuses to tell of jobs that have a key and are not the caller''s concern.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_invariants(): every broken invariant, in one snapshot; no rows when all is well. Reads whole tables.
-- Stands in for the foreign keys that the hot path does without.
-- roles: operator
create function check_invariants() returns table (rule text, job_id bigint, detail text)
language sql stable security definer set search_path from current set jit = off
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
    select 'the job for which a unique key stands has that key', u.job_id, u.key
    from unique_keys u join jobs j on j.id = u.job_id
    where j.unique_key is distinct from u.key
    union all
    select 'a job in line is of that sequence, which is under way', w.job_id, w.sequence
    from waiting w join jobs j on j.id = w.job_id
    where w.sequence is not null
      and (j.sequence is distinct from w.sequence or not exists (select from sequences s where s.key = w.sequence))
    union all
    select 'an unfinished job of a sequence is its head or in line', m.id, j.sequence
    from jobs j join members m on m.id = j.id
    where j.sequence is not null and m.place <> 'results'
      and not exists (select from waiting w where w.job_id = j.id and w.sequence is not null)
      and not exists (select from sequences s where s.key = j.sequence and s.job_id = j.id)
    union all
    select 'the head of a sequence is of that, and unfinished unless it has stopped it', s.job_id, s.key
    from sequences s left join jobs j on j.id = s.job_id left join results f on f.job_id = s.job_id
    where s.job_id is not null
      and (j.sequence is distinct from s.key or (f.job_id is not null) <> (s.stopped_at is not null)
           or s.stopped_at is not null and f.state <> 'failed'
           or exists (select from waiting w where w.job_id = s.job_id and w.sequence is not null))
    union all
    select 'a lease belongs to a registered worker', r.job_id, r.worker_id::text
    from running r
    where not exists (select from workers w where w.id = r.worker_id)
    union all
    select 'an entry of expiries belongs to a job with that time to live', e.job_id, e.expires_at::text
    from expiries e
    where not exists (select from jobs j where j.id = e.job_id and (j.expires_at is null or j.expires_at = e.expires_at or j.role = 'dag'))
    union all
    select 'progress, logs, steps and errors belong to jobs', p.job_id, null
    from (select p.job_id from progress p union select l.job_id from logs l union select s.job_id from steps s
          union select e.job_id from attempt_errors e) p
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
        -- Without a join, which could read all results for each of these jobs while nothing is known of the tables.
        select count(*) filter (
                   where not exists (select from results f where f.job_id = e.parent_id)
                      or exists (select from frontier u where u.parent_id = e.parent_id
                                 and e.child_id between u.first_child and u.last_child)) as pending
        from edges e
        where e.child_id = w.job_id and (w.role is distinct from 'items' or is_item(e.parent_id, w.job_id))) n on true
    where w.pending <> case
        when w.role in ('signal', 'turn') or w.sequence is not null then 1
        when w.role = 'items' then n.pending + m.total - m.expanded
        when exists (select from jobs j where j.id = w.job_id and j.spec ? 'map') then least(w.pending, 1)
        else n.pending end
    union all
    select 'a job that waits for its turn is there with its group, kind and priority', w.job_id, format('%s/%s/%s', w.group_name, w.kind, w.priority)
    from waiting w join jobs j on j.id = w.job_id
    where w.role = 'turn' and (w.group_name, w.kind, w.priority) is distinct from (coalesce(j.group_name, ''), j.kind, j.priority)
    union all
    select 'an attempt that counts for a limit has a slot, and a slot such an attempt', coalesce(r.job_id, s.job_id), coalesce(s.group_name, 'no slot')
    from (select * from running where slotted) r full join slots s on s.job_id = r.job_id and s.attempt = r.attempt
    where r.job_id is null or s.job_id is null
    union all
    select 'a group that is parked has no room, or somebody says that it may have some', null, b.group_name
    from (select distinct b.group_name from backlogs b where b.emptied_at is null and b.parked_until > clock_timestamp() + interval '2 s') b
    left join lateral limit_of(b.group_name) l on true
    left join gates g on g.scope = 'group' and g.name = b.group_name
    where coalesce(l.max_running > (select count(*) from slots s where s.group_name = b.group_name), true)
      and coalesce(tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, clock_timestamp()) >= 1, true)
      and coalesce(gate_room(g.paused_until, g.opened_at, g.probe_at, g.probe_id, clock_timestamp()) > 0, true)
      and not exists (
          select from vacancies v
          where v.group_name = b.group_name or right(v.group_name, 1) = '*' and starts_with(b.group_name, rtrim(v.group_name, '*')))
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
    select 'a schedule under way is due at a time and fires then', null, s.name
    from schedules s
    where s.paused_at is null
      and ((s.next_at is null and s.ends_at is null and s.once_at is null and (s.max_runs is null or s.runs < s.max_runs))
        or (s.fire_at is null) <> (s.next_at is null and s.queued_at is null)
        or s.fire_at < s.next_at and s.queued_at is null)
    union all
    select 'a schedule is due within its bounds', null, s.name
    from schedules s
    where s.next_at < s.starts_at or s.next_at > s.ends_at or s.runs > s.max_runs or (s.runs >= s.max_runs and s.next_at is not null)
    union all
    select 'a time that waits is of a schedule that queues one', null, s.name
    from schedules s
    where s.queued_at is not null and s.overlap <> 'queue'
    union all
    select 'runs of schedules are of schedules', r.job_id, r.schedule
    from schedule_runs r
    where not exists (select from schedules s where s.name = r.schedule)
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
                          'tags', 'metadata', 'ttl', 'result_ttl', 'codec', 'payload', 'unique', 'group', 'sequence', 'on_failure', 'callbacks')
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
    if jsonb_path_exists(jobs, '$[*].callbacks') then
        perform check_callbacks(jobs);
    end if;
    if jsonb_path_exists(jobs, '$[*] ? (exists(@.group) || exists(@.sequence) || exists(@.on_failure))') then
        select j.index, p.problem into bad
        from jobs_from_json(jobs) j,
             coalesce(group_problem(j.group_name), sequence_problem(j.sequence, j.on_failure, j.uniqueness)) p(problem)
        where p.problem is not null
        order by j.index limit 1;
        if found then
            perform invalid(format('jobs[%s].%s', bad.index, bad.problem[1]), bad.problem[2]);
        end if;
    end if;
    if jsonb_path_exists(jobs, '$[*].unique') then
        -- Each sort once: they mostly differ in nothing but the key.
        with sorts as materialized (
            select min(j.index) as index, s.spec
            from jobs_from_json(jobs) j
            cross join lateral (
                select case when jsonb_typeof(j.uniqueness -> 'key') = 'string' and length(j.uniqueness ->> 'key') between 1 and 450
                            then jsonb_set(j.uniqueness, '{key}', '"k"') else j.uniqueness end as spec) s
            where j.uniqueness is not null
            group by s.spec
        )
        select s.index, p.problem into bad
        from sorts s
        cross join lateral (select unique_problem(s.spec) as problem offset 0) p
        where p.problem is not null
        order by s.index limit 1;
        if found then
            perform invalid(format('jobs[%s].%s', bad.index, bad.problem[1]), bad.problem[2]);
        end if;
        select j.index into bad from jobs_from_json(jobs) j
        where j.uniqueness -> 'by' @? '$[*] ? (@ starts with "args")' and j.codec is not null
        order by j.index limit 1;
        if found then
            perform invalid(format('jobs[%s].unique.by', bad.index), 'must not name args that a codec has encoded');
        end if;
    end if;
    -- Settings once per queue, not per job.
    with too_large as materialized (
        select q.queue, s.max_args_bytes
        from (select j.queue, max(coalesce(pg_column_size(j.args), octet_length(j.payload))) as largest from jobs_from_json(jobs) j group by j.queue) q
        cross join lateral settings_of(q.queue) s
        where q.largest > s.max_args_bytes
    )
    select j.index, t.max_args_bytes into bad
    from too_large t
    join jobs_from_json(jobs) j on j.queue = t.queue
    where coalesce(pg_column_size(j.args), octet_length(j.payload)) > t.max_args_bytes
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
-- check_limit(given): raises PQ001 for the first rule that a limit breaks. Internal: set_limit.
create function check_limit(given limits) returns void
language plpgsql
as $$
begin
    if given.max_running < 1 then
        perform invalid('max_running', 'must be at least 1');
    elsif given.rate < 1 then
        perform invalid('rate', 'must be at least 1');
    elsif given.burst < 1 then
        perform invalid('burst', 'must be at least 1');
    elsif given.period <= interval '0' or given.period > interval '366 days' then
        perform invalid('period', 'must be positive and at most 366 days');
    elsif given.period is not null and given.rate is null then
        perform invalid('period', 'must not be given without a rate');
    elsif given.burst is not null and given.rate is null then
        perform invalid('burst', 'must not be given without a rate');
    elsif given.rate is not null and given.period is null then
        perform invalid('period', 'must be given with a rate');
    elsif given.weight < 1 or given.weight > 1000 then
        perform invalid('weight', 'must be 1 to 1000');
    elsif given.weight is not null and given.scope <> 'group' then
        perform invalid('weight', 'must not be given but for groups');
    elsif given.break_after not between 1 and 1000 then
        perform invalid('break_after', 'must be 1 to 1000');
    elsif given.break_within <= interval '0' or given.break_within > interval '1 day' then
        perform invalid('break_within', 'must be positive and at most one day');
    elsif given.break_for <= interval '0' or given.break_for > interval '1 day' then
        perform invalid('break_for', 'must be positive and at most one day');
    elsif given.break_within is not null and given.break_after is null then
        perform invalid('break_within', 'must not be given without break_after');
    elsif given.break_for is not null and given.break_after is null then
        perform invalid('break_for', 'must not be given without break_after');
    elsif given.break_after is not null and given.break_within is null then
        perform invalid('break_within', 'must be given with break_after');
    elsif given.break_after is not null and given.break_for is null then
        perform invalid('break_for', 'must be given with break_after');
    end if;
end
$$;
comment on function check_limit is 'Refuses a limit that breaks a rule.';
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
-- check_parallel(fields, shapes): raises PQ001 unless these arguments of a verb are arrays that belong together: the first one has one dimension that
-- begins at 1, the second one is like it, and so are the others, which may also be null or empty. shapes: array_dims of each, which is null for
-- what is null or empty. Where the first one is, nothing is to be done, and nothing is refused. Internal.
create function check_parallel(fields text[], shapes text[]) returns void
language plpgsql immutable
as $$
begin
    if shapes[1] !~ '^\[1:\d+\]$' then
        perform invalid(fields[1], 'must be an array with one dimension that begins at 1');
    end if;
    for i in 2 .. case when shapes[1] is null then 1 else cardinality(fields) end loop
        if shapes[i] <> shapes[1] or i = 2 and shapes[i] is null then
            perform invalid(fields[i], format('must have as many elements as %s, and one dimension that begins at 1', fields[1]));
        end if;
    end loop;
end
$$;
comment on function check_parallel is 'Refuses arrays that do not belong together.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_producer(queue_names): raises 42501 unless the caller may enqueue into these queues; else the producer whose
-- grant allows it, to be written to jobs.enqueued_by: of several the caller's own. Null for owners, who may always, and for chores.
-- Internal: whatever enqueues. Those that are owners themselves need not call it; they have nothing to pay then.
create function check_producer(queue_names text[]) returns integer
language plpgsql stable
as $$
declare
    who constant oid := caller();
    granted record;
    refused text;
begin
    if is_owner(who) then
        return null;
    end if;
    select exists (select from acting a where a.pid = pg_backend_pid()) as acting,
           (array_agg(p.id order by p.role_id <> who, p.id))[1] as producer,
           array_agg(g.queue) as queues
    into granted
    from grants g
    join producers p on p.role_id = g.role_id
    where g.class = 'producer' and pg_has_role(who, g.role_id, 'usage');
    if granted.acting then
        return null;
    elsif granted.producer is not null and ('*' = any(granted.queues) or queue_names <@ granted.queues) then
        return granted.producer;
    end if;
    select q into refused from unnest(queue_names) q where q <> all(coalesce(granted.queues, '{}')) limit 1;
    raise exception using
        errcode = '42501',
        message = 'permission denied to enqueue' || coalesce(' into queue ' || to_json(left(refused, 128)), ''),
        detail = format('Asked for the role of the session, %s.', who::regrole),
        hint = 'An owner of the schema can allow it: pgq-admin grant producer ROLE --queue QUEUE.';
end
$$;
comment on function check_producer is 'Refuses to enqueue without a right to.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_replaced(outcomes, ids): raises 42501 when one of the jobs that are to be replaced was not enqueued by the caller. Internal:
-- enqueue_jobs, for producers that are not owners.
create function check_replaced(outcomes text[], ids bigint[]) returns void
language plpgsql stable
as $$
declare
    own constant integer[] := own_producers();
    foreign_id bigint;
begin
    select j.id into foreign_id
    from jobs j
    where j.id = any(array(select v.id from unnest(ids, outcomes) v(id, outcome) where v.outcome = 'replaced'))
      and not coalesce(j.enqueued_by = any(own), false)
    limit 1;
    if found then
        raise exception using
            errcode = '42501',
            message = format('permission denied to replace job %s', foreign_id),
            detail = 'Somebody else enqueued it with the same unique key.';
    end if;
end
$$;
comment on function check_replaced is 'Refuses producers to replace jobs of others.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_schedule(...): raises PQ001 for the first field of a schedule, but for the spec, that breaks a rule; see set_schedule.
-- Internal.
create function check_schedule(
    name text, zone text, jitter interval, starts_at timestamptz, ends_at timestamptz, max_runs bigint, missed text,
    missed_limit integer, overlap text, declared_by text) returns void
language plpgsql stable
as $$
declare
    problem constant text[] := case
        when name is null or length(name) not between 1 and 128 then array['name', 'must have 1 to 128 characters']
        when name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then array['name', 'must not have control characters']
        when length(declared_by) not between 1 and 128 then array['declared_by', 'must have 1 to 128 characters']
        when zone_problem(zone) is not null then array['zone', zone_problem(zone)]
        when jitter is null or jitter < interval '0' or jitter > interval '1 day' then array['jitter', 'must be 0 to 1 day']
        when not isfinite(starts_at) or starts_at < '0001-01-01 00:00+00' or starts_at >= '10000-01-01 00:00+00'
            then array['starts_at', 'must be in the years 1 to 9999']
        when not isfinite(ends_at) or ends_at < '0001-01-01 00:00+00' or ends_at >= '10000-01-01 00:00+00'
            then array['ends_at', 'must be in the years 1 to 9999']
        when ends_at <= starts_at then array['ends_at', 'must be after starts_at']
        when max_runs < 1 then array['max_runs', 'must be at least 1']
        when missed is null or missed not in ('skip', 'once', 'all') then array['missed', 'must be skip, once or all']
        when missed_limit is null or missed_limit not between 1 and 1000 then array['missed_limit', 'must be 1 to 1000']
        when overlap is null or overlap not in ('allow', 'skip', 'queue', 'cancel')
            then array['overlap', 'must be allow, skip, queue or cancel']
    end;
begin
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
end
$$;
comment on function check_schedule is 'Refuses a schedule that breaks a rule.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_schedule_dag(dag, kind, args, options): the DAG of a schedule, null if it has a job instead. Raises PQ001 with all that is wrong
-- with it (dag_problems), in words. Internal: set_schedule.
create function check_schedule_dag(dag jsonb, kind text, args jsonb, options jsonb) returns jsonb
language plpgsql stable
as $$
begin
    if dag is null then
        return null;
    elsif num_nonnulls(kind, args, options) > 0 then
        perform invalid('dag', 'must not be given together with kind, args or options');
    elsif dag ? 'key' then
        perform invalid('dag', 'must not have a key: that is made of the schedule''s name and the time');
    end if;
    perform dag_refuse(dag);
    return dag;
exception when sqlstate 'PQ001' then
    perform invalid('dag', regexp_replace(sqlerrm, '^dag:? ', ''));
end
$$;
comment on function check_schedule_dag is 'The DAG of a schedule, checked.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_schedule_job(kind, args, options): the job of a schedule as enqueue_many takes it. Raises PQ001 with the field that breaks a
-- rule. That its queue is full at the moment does not matter. Internal: set_schedule.
create function check_schedule_job(kind text, args jsonb, options jsonb) returns jsonb
language plpgsql stable
as $$
declare
    job jsonb := case when jsonb_typeof(options) in ('object', 'null') then nullif(options, 'null') end;
    field text;
    rule text;
begin
    if jsonb_typeof(options) not in ('object', 'null') then
        perform invalid('options', 'must be a JSON object');
    elsif kind is null then
        perform invalid('kind', 'must be given, or a DAG');
    elsif job ?| '{kind,args}' then
        perform invalid('options', 'must not have kind or args, which are fields of their own');
    elsif job ?| '{delay,run_at}' then
        perform invalid('options', 'must not have delay or run_at: the spec says when');
    end if;
    job := coalesce(job, '{}') || jsonb_build_object('kind', kind)
        || case when args is null then '{}' else jsonb_build_object('args', args) end;
    begin
        perform check_jobs_json(jsonb_build_array(job));
    exception
        when sqlstate 'PQ002' then
            null;
        when sqlstate 'PQ001' then
            get stacked diagnostics field = column_name, rule = pg_exception_detail;
            perform invalid(coalesce(nullif(regexp_replace(field, '^jobs\[0\]\.?', ''), ''), 'options'), rule);
    end;
    return job;
end
$$;
comment on function check_schedule_job is 'The job of a schedule, checked.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_schema(schema): raises 55000 where others than the owner of a schema may put objects into it, or have: functions that have the owner's rights look for
-- functions there, and of these one with exactly the types of the arguments is preferred to those of PostgreSQL. And where the schema
-- is public, which is everybody's. Internal: apply_grants; looks for names in pg_catalog only. Migrations ask the same before they begin (rights.go).
create function check_schema(schema name) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    s constant pg_namespace := (select n from pg_namespace n where n.nspname = check_schema.schema);
    others text;
    foreigner record;
begin
    if s.nspname = 'public' then
        raise exception using
            errcode = '55000', message = 'schema public is everybody''s; PGQ needs one of its own', hint = 'pgq-admin migrate up --schema pgq';
    end if;
    select string_agg(distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end, ', ') into others
    from aclexplode(s.nspacl) a
    where a.privilege_type = 'CREATE' and a.grantee <> s.nspowner;
    if others is not null then
        raise exception using
            errcode = '55000',
            message = format('others than its owner may create objects in schema %I: %s', s.nspname, others),
            detail = format('Who can do that can act with the rights of the owner, %s.', s.nspowner::regrole),
            hint = format('revoke create on schema %I from %s;', s.nspname, others);
    end if;
    select o.* into foreigner
    from (select oid, 'pg_proc'::regclass as class, oid::regprocedure::text as name, proowner as owner from pg_proc where pronamespace = s.oid
          union all select oid, 'pg_operator'::regclass, oid::regoperator::text, oprowner from pg_operator where oprnamespace = s.oid
          union all select oid, 'pg_class'::regclass, oid::regclass::text, relowner from pg_class where relnamespace = s.oid) o
    where o.owner <> s.nspowner
      and not exists (select from pg_depend d where d.classid = o.class and d.objid = o.oid and d.deptype = 'e')
    order by o.name limit 1;
    if found then
        raise exception using
            errcode = '55000',
            message = format('schema %I belongs to %s, and %s in it to %s', s.nspname, s.nspowner::regrole, foreigner.name, foreigner.owner::regrole),
            detail = 'Functions of PGQ have the rights of their owner, which who owns something in the schema can get.',
            hint = format('alter schema %I owner to %s; or see the finding owners_differ of pgq-admin doctor', s.nspname, foreigner.owner::regrole);
    end if;
end
$$;
comment on function check_schema is 'Refuses a schema that is not its owner''s alone.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_scope(scope, name): raises PQ001 unless scope and name can be those of a limit. Internal.
create function check_scope(scope text, name text) returns void
language plpgsql
as $$
begin
    if scope is null or scope not in ('queue', 'kind', 'group') then
        perform invalid('scope', 'must be queue, kind or group');
    elsif name is null or length(name) not between 1 and 200 then
        perform invalid('name', 'must have 1 to 200 characters');
    elsif name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then
        perform invalid('name', 'must not have control characters');
    elsif name = '*' and scope <> 'group' then
        perform invalid('name', format('must name one %s', scope));
    end if;
end
$$;
comment on function check_scope is 'Refuses what cannot be limited.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_setting(setting): raises PQ001 with the field unless it has the form of a line of export_settings; what the values may be, the
-- set_... verbs say. Internal: import_setting.
create function check_setting(setting jsonb) returns void
language plpgsql stable
as $$
#variable_conflict use_variable
declare
    of constant text := setting ->> 'of';
    settings constant jsonb := setting -> 'settings';
    bad text;
begin
    if jsonb_typeof(setting) is distinct from 'object' or setting ->> 'type' is distinct from 'setting' then
        perform invalid('type', 'must be setting');
    end if;
    select k into bad from jsonb_object_keys(setting) k
    where k not in ('type', 'of', 'name', 'settings') and (k <> 'scope' or of <> 'limit') and (k <> 'paused' or of <> 'schedule')
    order by k limit 1;
    if of is null or of not in ('queue', 'kind', 'limit', 'schedule', 'consumer') then
        perform invalid('of', 'must be queue, kind, limit, schedule or consumer');
    elsif bad is not null then
        perform invalid(left(bad, 60), format('is not a member of the settings of a %s', of));
    elsif jsonb_typeof(setting -> 'name') is distinct from 'string' then
        perform invalid('name', 'must be a string');
    elsif of = 'limit' and jsonb_typeof(setting -> 'scope') is distinct from 'string' then
        perform invalid('scope', 'must be queue, kind or group');
    elsif jsonb_typeof(setting -> 'paused') not in ('object', 'null') then
        perform invalid('paused', 'must be a JSON object');
    elsif jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    elsif of = 'limit' and jsonb_strip_nulls(settings) = '{}' then
        perform invalid('settings', 'must have a setting: a limit without one is none');
    end if;
    -- The other verbs refuse what they do not know.
    select k into bad from jsonb_object_keys(settings) k
    where of = 'schedule' and k <> all(array_remove(setting_fields('schedule'), 'job') || '{kind,args,options}'::text[])
       or of = 'consumer' and k <> all(setting_fields('consumer'))
    order by k limit 1;
    if found then
        perform invalid(left(bad, 60), format('is not a setting of a %s', of));
    end if;
    select k into bad from unnest('{queues,types}'::text[]) k where of = 'consumer' and jsonb_typeof(settings -> k) not in ('array', 'null') limit 1;
    if found then
        perform invalid(bad, 'must be a JSON array of names');
    end if;
end
$$;
comment on function check_setting is 'Refuses what is no line of export_settings.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_step_name(name): the name of a step, cursor, sleep or signal, or PQ001 for one that cannot be that. Internal.
create function check_step_name(name text) returns text
language plpgsql immutable
as $$
begin
    if name is null or length(name) not between 1 and 200 then
        perform invalid('name', 'must have 1 to 200 characters');
    end if;
    return name;
end
$$;
comment on function check_step_name is 'The name of a step, or PQ001.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_step_type(job_id, name, type): raises PQ001 unless the name of the job, which is taken, belongs to something of this type: a
-- step, a cursor, a sleep or a signal. Internal.
create function check_step_type(job_id bigint, name text, type text) returns void
language plpgsql stable
as $$
declare
    other text;
begin
    select s.type into other from steps s
    where s.job_id = check_step_type.job_id and s.name = check_step_type.name and s.type <> check_step_type.type;
    if found then
        perform invalid('name', format('must be that of a %s; %s is the name of a %s of this job', check_step_type.type,
                                       to_json(check_step_type.name), other));
    end if;
end
$$;
comment on function check_step_type is 'Raises PQ001 for a name that belongs to something else.';
-- +goose StatementEnd

-- +goose StatementBegin
-- check_submitter(dag_id): raises 42501 when a DAG that was just added has jobs, maps whose items would be, or callbacks, in queues into
-- which the caller may not enqueue, or comes after jobs that the caller did not enqueue: conditions would tell what came of
-- them. Internal: dag_submit, for producers that are not owners.
create function check_submitter(dag_id bigint) returns void
language plpgsql stable
as $$
#variable_conflict use_column
declare
    own constant integer[] := own_producers();
    foreign_id bigint;
begin
    perform check_producer(array(
        select j.queue from jobs j where j.id = check_submitter.dag_id
        union select j.queue from jobs j where j.dag_id = check_submitter.dag_id
        union select j.spec -> 'item' ->> 'queue' from jobs j where j.dag_id = check_submitter.dag_id and j.role = 'map'
        union select coalesce(c.value ->> 'queue', 'default')
              from jobs j, jsonb_each(coalesce(j.spec -> 'callbacks', nullif(j.spec -> 'item' -> 'callbacks', 'null'))) c
              where j.dag_id = check_submitter.dag_id and c.value <> 'null'));
    select e.parent_id into foreign_id
    from jobs j
    join edges e on e.child_id = j.id
    cross join lateral (select p.dag_id, p.enqueued_by from jobs p where p.id = e.parent_id offset 0) p
    where j.dag_id = check_submitter.dag_id
      and p.dag_id is distinct from check_submitter.dag_id
      and not coalesce(p.enqueued_by = any(own), false)
    limit 1;
    if found then
        raise exception using
            errcode = '42501',
            message = format('permission denied to come after job %s', foreign_id),
            detail = 'A node may come after jobs that were enqueued by the same role.';
    end if;
end
$$;
comment on function check_submitter is 'Refuses DAGs in which a producer goes beyond its rights.';
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
-- +goose StatementEnd

-- +goose StatementBegin
-- claim_aside(worker_id, job_ids, seqs, sizes, attempts, sinces, gated, at, loud): what a claim does of which most claims have nothing to do: ends jobs
-- that are claimed too late for the first time, lets jobs wait for their turn that have a group or are of a gated kind (where there are
-- seqs: others were dealt), and tells of what was claimed if anybody wants to know. Internal: claim and claim_turns, which have taken these
-- runs from where they were and leased the others.
create function claim_aside(
    worker_id bigint, job_ids bigint[], seqs bigint[], sizes integer[], attempts integer[], sinces timestamptz[], gated text[],
    at timestamptz, loud boolean)
returns void
language sql
as $$
    with claimed as materialized (
        select j.*, r.attempt + 1 as attempt, r.seq + j.id - r.job_id as seq, r.since,
               coalesce(j.expires_at <= now() and r.attempt = 0, false) as too_late,
               r.seq is not null and (j.group_name is not null or coalesce(j.kind = any(gated), false)) as in_turn
        from unnest(job_ids, seqs, sizes, attempts, sinces) r(job_id, seq, size, attempt, since)
        cross join lateral (
            select id, queue, kind, expires_at, result_ttl, dag_id, group_name from jobs
            where id >= r.job_id and id < r.job_id + r.size offset 0) j
    ), expired as (
        insert into results (job_id, queue, state, attempt, finished_at, expires_at, error, dag_id)
        select id, queue, 'expired', 0, now(), now() + result_ttl, 'not started within its time to live', dag_id
        from claimed
        where too_late
    ), untold as (
        insert into frontier (parent_id, first_child, last_child)
        select id, 0, 9223372036854775807 from claimed
        where too_late and exists (select from edges e where e.parent_id = claimed.id offset 0)
    ), left_alone as (
        update sequences set job_id = null where job_id = any(array(select id from claimed where too_late))
    ), told as (
        insert into events (job_id, queue, type, attempt, worker_id, at)
        select id, queue, case when too_late then 'expired' else 'claimed' end,
               case when too_late then 0 else attempt end, case when not too_late then claim_aside.worker_id end,
               coalesce(claim_aside.at, clock_timestamp())
        from claimed
        where (too_late or loud and not in_turn) and wants_event(queue, too_late)
    )
    select put_turns(array_agg(id), array_agg(seq), array_agg(attempt - 1), array_agg(since))
    from claimed
    where in_turn and not too_late
    having count(*) > 0;
    select call_back(array_agg(j.id), 'on_failure')
    from unnest(job_ids, sizes, attempts) r(job_id, size, attempt)
    cross join lateral (
        select id from jobs
        where id >= r.job_id and id < r.job_id + r.size and r.attempt = 0 and expires_at <= now() and spec ? 'callbacks' offset 0) j
    having count(*) > 0
$$;
comment on function claim_aside is 'What a claim does beside leasing jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- claim_jobs(worker_id, queue_name, at_most, kinds): leases up to at_most jobs of one queue to a worker: claim, for workers that are
-- written without arrays.
--
--   select to_jsonb(c) from pgq.claim_jobs(7, 'mail', kinds => '{send_mail}') c;
--
-- Zero rows, errors and locks: see claim.
-- roles: worker
create function claim_jobs(worker_id bigint, queue_name text, at_most integer default 1, kinds text[] default null)
returns table (
    job_id bigint, queue text, kind text, priority smallint, seq bigint, attempt integer, max_attempts integer,
    timeout interval, created_at timestamptz, tags text[], metadata jsonb, codec text, payload bytea, args jsonb,
    dag_id bigint, sequence text)
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
begin
    return query select c.* from claim(claim_jobs.worker_id, array[queue_name], array[at_most], claim_jobs.kinds) c;
end
$$;
comment on function claim_jobs is 'Leases jobs of one queue to a worker.';
-- +goose StatementEnd

-- +goose StatementBegin
-- claim_turns(worker_id, queue_name, wanted, kinds, worst, at, loud): claims jobs of a queue that wait for their turn, as claim does with those that are ready.
-- Internal: claim. Their seq is 0, since no cursor is to move on for them.
create function claim_turns(worker_id bigint, queue_name text, wanted integer, kinds text[], worst smallint, at timestamptz, loud boolean)
returns table (
    job_id bigint, queue text, kind text, priority smallint, seq bigint, attempt integer, max_attempts integer,
    timeout interval, created_at timestamptz, tags text[], metadata jsonb, codec text, payload bytea, args jsonb,
    dag_id bigint, sequence text)
language plpgsql
as $$
#variable_conflict use_column
declare
    settings record;
    dealt record;
    got integer;
begin
    select * into dealt from deal(queue_name, wanted, claim_turns.kinds, worst, claim_turns.at);
    if dealt.job_ids is null then
        return;
    end if;
    select * into settings from settings_of(queue_name);
    return query
        with claimed as materialized (
            select u.attempt, u.slotted, u.place, j.*
            from unnest(dealt.job_ids, dealt.attempts, dealt.counted) with ordinality u(id, attempt, slotted, place)
            cross join lateral (
                select * from jobs
                where jobs.id = u.id and not (u.attempt = 1 and coalesce(expires_at <= now(), false)) offset 0) j
        ), leased as (
            insert into running (job_id, queue, attempt, worker_id, claimed_at, result_ttl, dag_id, callbacks, slotted)
            select id, queue, attempt, claim_turns.worker_id, dealt.at, result_ttl, dag_id, nullif(spec ? 'callbacks', false), nullif(slotted, false)
            from claimed
        )
        select id, queue, kind, priority, 0::bigint, attempt, coalesce(max_attempts, settings.max_attempts),
               coalesce(timeout, settings.timeout), created_at, tags, metadata, codec, payload, args, dag_id, sequence
        from claimed order by place;
    get diagnostics got = row_count;
    if got < cardinality(dealt.job_ids) then
        perform free_slots(array(select id from unnest(dealt.job_ids) id where not exists (select from running r where r.job_id = id offset 0)));
    end if;
    if loud or got < cardinality(dealt.job_ids) then
        perform claim_aside(claim_turns.worker_id, dealt.job_ids, null, array_fill(1, array[cardinality(dealt.job_ids)]),
            array(select n - 1 from unnest(dealt.attempts) n), null, null, dealt.at, loud);
    end if;
end
$$;
comment on function claim_turns is 'Claims jobs that wait for their turn.';
-- +goose StatementEnd

-- +goose StatementBegin
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
-- +goose StatementEnd

-- +goose StatementBegin
-- complete_job(worker_id, job_id, attempt, output): completes one attempt that the worker holds: complete, for workers that are
-- written without arrays. Returns completed, or null: the lease is lost, and nothing was changed.
-- roles: worker
create function complete_job(worker_id bigint, job_id bigint, attempt integer, output jsonb default null) returns text
language sql security definer set search_path from current
as $$
    select 'completed' from complete(complete_job.worker_id, array[job_id], array[attempt], array[output]) c
$$;
comment on function complete_job is 'Completes an attempt that a worker holds.';
-- +goose StatementEnd

-- +goose StatementBegin
-- consume_events(name, at_most): reads the next events of a consumer and moves its position behind them, both in the caller's transaction:
-- what it writes about them is written exactly once, and if it rolls back they come again. Zero rows: nothing new has happened, somebody else
-- is at it, or it waits after a failure. Raises PQ001 when at_most is not 1 to 10,000 or the transaction is not read committed, PQ004 when there
-- is no such consumer. Locks: the consumer's row, skipping it when it is locked; so others get no events until the caller has committed.
-- roles: worker, operator
create function consume_events(name text, at_most integer default 100)
returns table (id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    next record;
    c consumers;
begin
    select * into next from next_batch(consume_events.name, consume_events.at_most);
    c := next.consumer;
    if c.name is null then
        return;
    end if;
    if next.batch <> '{}' then
        c.after_id := (next.batch[cardinality(next.batch)]).id;
    end if;
    perform keep_position(c, cardinality(next.batch));
    return query select * from events_of_batch(next.batch);
end
$$;
comment on function consume_events is 'Reads the next events of a consumer in the caller''s transaction.';
-- +goose StatementEnd

-- +goose StatementBegin
-- consumer_is_due(c): whether there is something to read, as far as can be told without reading: nobody has the lease, no pause after a
-- failure is on, and the window is not read, or an id was drawn since, or a transaction that was open and may have drawn one has ended.
-- Internal: next_batch.
create function consumer_is_due(c consumers) returns boolean
language plpgsql
as $$
declare
    newest constant bigint := newest_event_id();
begin
    return coalesce(c.leased_until <= clock_timestamp(), true) and coalesce(c.retry_at <= clock_timestamp(), true)
        and (not c.exhausted or newest > c.to_id
             or exists (select from unnest(c.to_open, c.to_open_ids) o(xid, id)
                        where o.id < newest and pg_visible_in_snapshot(o.xid, pg_current_snapshot())
                          and o.xid is distinct from pg_current_xact_id_if_assigned()));
end
$$;
comment on function consumer_is_due is 'Whether a consumer may have something to read.';
-- +goose StatementEnd

-- +goose StatementBegin
-- consumer_lag(name): how far behind a consumer of events is: how many events it wants and has yet to read, counted among the first 10,000 that
-- it might not have read, whether there are no more than those, when the oldest was written, and the id at which it is. Locks nothing.
-- roles: operator, reader
create function consumer_lag(name text) returns table (behind integer, exact boolean, oldest_at timestamptz, position_id bigint)
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_bitmapscan = off
as $$
    select count(*) filter (where e.unread)::integer, count(e.at) < 10000, min(e.at) filter (where e.unread),
           least(c.to_id, case when not c.exhausted then c.after_id end)
    from consumers c
    left join lateral (
        select e.at, is_unread(c, e.xid, e.id) and (c.queues is null or e.queue = any(c.queues)) and (c.types is null or e.type = any(c.types)) as unread
        from events e where e.id > read_up_to(c) order by e.id limit 10000) e on true
    where c.name = consumer_lag.name
    group by c.name
$$;
comment on function consumer_lag is 'How far behind a consumer of events is.';
-- +goose StatementEnd

-- +goose StatementBegin
-- consumer_start(start_at): the position of a consumer that begins now, at the beginning, or behind an event's id. Raises PQ001 for any
-- other. What is open at this moment is read when it commits, whatever its ids, but none up to the id. Internal: set_consumer, reset_consumer.
create function consumer_start(start_at text) returns consumers
language plpgsql
as $$
declare
    begun constant boolean := pg_current_xact_id_if_assigned() is not null;
    newest_id constant bigint := newest_event_id();
    c consumers;
begin
    if start_at is null or start_at not in ('now', 'beginning') and start_at !~ '^[0-9]{1,18}$' then
        perform invalid('start_at', 'must be now, beginning or the id of an event');
    end if;
    if start_at ~ '^[0-9]' and start_at::bigint > newest_id then
        perform invalid('start_at', format('must be the id of an event that was written; the newest is %s', newest_id));
    end if;
    c.to_xid := '1';
    c.to_open := '{}';
    c.to_open_ids := '{}';
    c.to_id := case when start_at in ('now', 'beginning') then 0 else start_at::bigint end;
    c := open_window(c, newest_id, event_fence(null, begun));
    if start_at = 'now' then
        c.from_xid := c.to_xid;
        c.from_open := c.to_open;
        c.after_id := c.to_id;
        c.exhausted := true;
    end if;
    return c;
end
$$;
comment on function consumer_start is 'Position of a consumer that begins.';
-- +goose StatementEnd

-- +goose StatementBegin
-- count_strikes(): counts attempts that failed, and opens the circuit breakers for which that were too many in their time. Failures while one is open
-- or half-open are forgotten: what counts then is the probe. Internal: tend_breakers.
create function count_strikes() returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    now constant timestamptz := clock_timestamp();
    news record;
begin
    for news in
        with taken as (
            delete from strikes returning *
        ), struck as (
            select scope, name, array_agg(at) as at, max(job_id) filter (where latest) as job_id
            from (select *, at = max(at) over (partition by scope, name) as latest from taken) t
            group by scope, name
        )
        select s.scope, s.name, s.job_id, j.queue, b.break_after, b.break_within, b.break_for, recent.at
        from struck s
        cross join lateral breaker_of(s.scope, s.name) b
        left join gates g on g.scope = s.scope and g.name = s.name
        left join lateral (select queue from jobs where jobs.id = s.job_id offset 0) j on true
        cross join lateral (
            select array_agg(f.at order by f.at) as at
            from (select f.at from unnest(g.failed_at || s.at) f(at) where f.at > now - b.break_within order by f.at desc limit b.break_after) f) recent
        where g.opened_at is null and recent.at is not null
        order by s.scope, s.name
    loop
        insert into gates as g (scope, name, failed_at) values (news.scope, news.name, news.at)
        on conflict (scope, name) do update set failed_at = excluded.failed_at;
        if cardinality(news.at) >= news.break_after then
            update gates g set opened_at = now, probe_at = now + news.break_for where g.scope = news.scope and g.name = news.name;
            perform record_event('breaker_opened', news.job_id, coalesce(news.queue, case news.scope when 'queue' then news.name end),
                data => jsonb_build_object('scope', news.scope, 'name', news.name, 'failures', news.break_after, 'probe_at', now + news.break_for));
        end if;
    end loop;
end
$$;
comment on function count_strikes is 'Opens circuit breakers after too many failures.';
-- +goose StatementEnd

-- +goose StatementBegin
-- counts(at_most): jobs per queue and state, one row for each state that has any. Counted up to at_most per queue and state (null: up to 10,000,
-- fewer where there are many queues: some 10,000 rows of a state, and 500 per queue, are walked); beyond
-- it the figure is an estimate from 200 pages of the table (sampled_jobs), and exact is false. So the cost does
-- not grow with the number of jobs. Completed jobs are counted while they fill few pages, else sampled.
-- Stable: all is counted in one snapshot, else a job that is claimed meanwhile would be missed in both its states.
-- roles: operator, reader
create function counts(at_most integer default null)
returns table (queue text, state text, jobs bigint, exact boolean)
language plpgsql stable security definer set search_path from current
set jit = off
as $$
#variable_conflict use_column
declare
    pages constant integer := 200;
    sample constant bigint := pages * current_setting('block_size')::bigint; -- bytes: tables that have no more are read as a whole
    names constant text[] := array(select queue_names());
    bound constant integer := coalesce(within('at_most', at_most, 0, 1000000), least(10000, 500 + 10000 / greatest(1, cardinality(names))));
begin
    return query select r.queue, 'running', count(*), true from running r group by 1;
    return query
        with sampled as materialized (
            select * from sampled_jobs('ready', pages)
            union all
            select * from sampled_jobs('scheduled', pages)
            union all
            select * from sampled_jobs('waiting', pages)
            union all
            select * from sampled_jobs('results', pages)
        ), counted as (
            select n.queue, 'ready' as state, c.jobs, c.rows <= bound as exact
            from unnest(names) n(queue),
                 lateral (select coalesce(sum(r.size), 0) as jobs, count(*) as rows
                          from (select size from ready where queue = n.queue limit bound + 1) r) c
            where pg_relation_size('ready') > sample
            union all
            select n.queue, 'scheduled', c.jobs, c.jobs <= bound
            from unnest(names) n(queue),
                 lateral (select count(*) as jobs
                          from (select from scheduled where queue = n.queue limit bound + 1) s) c
            where pg_relation_size('scheduled') > sample
            union all
            select n.queue, t.state, c.jobs, c.jobs <= bound
            from unnest(names) n(queue),
                 unnest(array['failed', 'cancelled', 'skipped', 'expired']) t(state),
                 lateral (select count(*) as jobs
                          from (select from results f
                                where f.queue = n.queue and f.state = t.state and f.state <> 'completed' and f.dag_id is null
                                union all
                                select from results f
                                where f.queue = n.queue and f.state = t.state and f.state <> 'completed' and f.dag_id is not null
                                limit bound + 1) f) c
            where pg_relation_size('results') > sample
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
-- cron_after(fields, zone, after): the first instant after one at which a cron expression is due in a zone; null: none before the
-- year 10000. Where clocks change:
--   with given hours, a time that is left out is due at the first instant after the gap, one that is shown twice the first time only;
--   with any hour (*), what clocks show decides: nothing is due in a gap, and what is shown twice is due twice, so that a rule
--   for each hour fires each hour that passes.
-- Internal.
create function cron_after(fields bigint[], zone text, after timestamptz) returns timestamptz
language plpgsql immutable strict
as $$
declare
    hour constant interval := interval '1 h';
    any_hour constant boolean := fields[7] & 1 = 1;
    cursor_at timestamptz := after;
    distance interval := (after at time zone zone) - (after at time zone 'UTC');
    start timestamp := date_trunc('second', after at time zone zone) + interval '1 s';
    shown timestamp;
    due timestamptz;
    seen timestamptz;
begin
    if not any_hour then
        seen := instant_of(after at time zone zone, zone);
        if seen < after then -- what is shown again has been due: go on behind it
            start := greatest(start, (zone_change(zone, seen, after) at time zone 'UTC') + ((seen at time zone zone) - (seen at time zone 'UTC')));
        end if;
        loop
            shown := cron_local(fields, start);
            due := instant_of(shown, zone);
            exit when due is null or due > after;
            start := shown + interval '1 s';
        end loop;
        return due;
    end if;
    loop
        shown := cron_local(fields, start);
        if shown is null then
            return null;
        end if;
        due := (shown - distance) at time zone 'UTC';
        -- As long as the clocks do not change: the next change within a day may bring times again.
        seen := least(due, cursor_at + 25 * hour);
        if (seen at time zone zone) - (seen at time zone 'UTC') <> distance then
            seen := zone_change(zone, cursor_at, seen);
            if due < seen then
                return due;
            end if;
            cursor_at := seen;
            distance := (seen at time zone zone) - (seen at time zone 'UTC');
            start := seen at time zone zone;
        elsif seen = due then
            return due;
        else
            -- Far away: go on shortly before.
            cursor_at := due - 49 * hour;
            cursor_at := greatest(cursor_at, seen);
            distance := (cursor_at at time zone zone) - (cursor_at at time zone 'UTC');
            start := date_trunc('second', cursor_at at time zone zone) + interval '1 s';
        end if;
    end loop;
end
$$;
comment on function cron_after is 'When a cron expression is due next in a zone.';
-- +goose StatementEnd

-- +goose StatementBegin
-- cron_field(name, value, low, high, names): one field of a cron expression as a mask of the numbers that it stands for, whether it
-- is a wildcard (has * or ? without a step), or what is wrong with it. A field is a list of numbers, ranges and wildcards,
-- each with a step on demand: 1,5-9,20-40/5,*/15. names: what stands for low and those after it. Internal: read_cron.
create function cron_field(
    name text, value text, low integer, high integer, names text[], out mask bigint, out wild boolean, out problem text)
language plpgsql immutable
as $$
declare
    what constant text := case when name ~ '^[aeiouh]' then 'an ' else 'a ' end || name;
    part text;
    found text[];
    first integer;
    last integer;
    step integer;
begin
    mask := 0;
    wild := false;
    foreach part in array string_to_array(value, ',') loop
        found := regexp_match(part, '^(?:([*?])|([0-9]{1,4}|[A-Za-z]{3})(?:-([0-9]{1,4}|[A-Za-z]{3}))?)(?:/([0-9]{1,4}))?$');
        if found is null or found[1] = '?' and name not like 'day%' then
            problem := format('has %s that cannot be read: %s', what, to_json(left(value, 60)));
            return;
        end if;
        first := case when found[1] is not null then low when found[2] ~ '^[0-9]' then found[2]::integer
                      else array_position(names, upper(found[2])) - 1 + low end;
        last := case when found[3] ~ '^[0-9]' then found[3]::integer
                     when found[3] is not null then array_position(names, upper(found[3])) - 1 + low
                     when found[1] is not null or found[4] is not null then case high when 7 then 6 else high end
                     else first end;
        if name = 'day of week' and last = 0 and first > 0 then
            last := 7; -- SAT-SUN
        end if;
        step := coalesce(found[4]::integer, 1);
        if first is null or last is null then
            problem := format('has %s that cannot be read: %s', what, to_json(part));
            return;
        elsif least(first, last) < low or greatest(first, last) > high then
            problem := format('must have %s to %s as %s, not %s', low, high, name, to_json(part));
            return;
        elsif first > last then
            problem := format('has %s that runs backwards: %s', what, to_json(part));
            return;
        elsif step not between 1 and high - low then
            problem := format('must have a step of 1 to %s in its %s, not %s', high - low, name, to_json(part));
            return;
        end if;
        wild := wild or found[1] is not null and step = 1;
        for number in first .. last by step loop
            mask := mask | (1::bigint << number);
        end loop;
    end loop;
    if mask = 0 then
        problem := format('has an empty %s', name);
    elsif name = 'day of week' then
        mask := (mask | (mask >> 7)) & 127; -- 7 is Sunday, too
    end if;
end
$$;
comment on function cron_field is 'One field of a cron expression as a mask.';
-- +goose StatementEnd

-- +goose StatementBegin
-- cron_local(fields, start): the first time on a clock, from a whole second on, that a cron expression stands for; null when there is
-- none before the year 10000. Days: if both day fields are given one of them must fit, else both. It goes through days,
-- skipping months, and never through what is smaller. Internal.
create function cron_local(fields bigint[], start timestamp) returns timestamp
language plpgsql immutable strict
as $$
declare
    day date := start::date;
    year integer := extract(year from start);
    month integer := extract(month from start);
    first integer := extract(day from start);
    last integer;
    hour integer := extract(hour from start);
    minute integer := extract(minute from start);
    second integer := extract(second from start);
    either constant boolean := fields[7] & 6 = 0;
    weekday integer;
    by_date boolean;
    by_weekday boolean;
begin
    while year < 10000 loop
        if fields[5] >> month & 1 = 1 then
            last := extract(day from make_date(year, month, 1) + interval '1 month' - interval '1 day');
            weekday := extract(dow from make_date(year, month, first));
            for number in first .. last loop
                by_date := fields[4] >> number & 1 = 1;
                by_weekday := fields[6] >> weekday & 1 = 1;
                if by_date and by_weekday or either and (by_date or by_weekday) then
                    day := make_date(year, month, number);
                    if day > start::date then
                        return day + make_time(next_bit(fields[3], 0), next_bit(fields[2], 0), next_bit(fields[1], 0));
                    end if;
                    -- On the first day, what is left of it.
                    if fields[3] >> hour & 1 = 1 then
                        if fields[2] >> minute & 1 = 1 and next_bit(fields[1], second) is not null then
                            return day + make_time(hour, minute, next_bit(fields[1], second));
                        elsif next_bit(fields[2], minute + 1) is not null then
                            return day + make_time(hour, next_bit(fields[2], minute + 1), next_bit(fields[1], 0));
                        end if;
                    end if;
                    if next_bit(fields[3], hour + 1) is not null then
                        return day + make_time(next_bit(fields[3], hour + 1), next_bit(fields[2], 0), next_bit(fields[1], 0));
                    end if;
                end if;
                weekday := (weekday + 1) % 7;
            end loop;
        end if;
        first := 1;
        month := coalesce(next_bit(fields[5], month + 1), next_bit(fields[5], 1) + 12);
        if month > 12 then
            month := month - 12;
            year := year + 1;
        end if;
    end loop;
    return null;
end
$$;
comment on function cron_local is 'The next time on a clock that a cron expression stands for.';
-- +goose StatementEnd

-- +goose StatementBegin
-- cron_problem(spec): what is wrong with when a schedule is to be due, naming the field; null when nothing is. See set_schedule.
--
--   select pgq.cron_problem('0 24 * * *');
--
-- Locks nothing.
-- roles: producer, worker, operator, reader
create function cron_problem(spec text) returns text
language sql stable security definer set search_path from current
as $$ select problem from read_spec(spec, 'UTC') $$;
comment on function cron_problem is 'What is wrong with the spec of a schedule, or null.';
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
-- roles: operator
create function dag_cancel(dag_id bigint, nodes text[] default null, downstream boolean default false, reason text default null)
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
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
-- dag_check_cycle(field, from_nodes, new_nodes): raises PQ001, naming the field, when one of these new nodes, which come before
-- existing ones (from_nodes), also comes after them, be it by way of other DAGs. Internal: dag_extend.
create function dag_check_cycle(field text, from_nodes bigint[], new_nodes bigint[]) returns void
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
    select coalesce(f.name, 'DAG ' || f.id) as follower, n.name as node into found_at
    from reached r
    join edges e on e.parent_id = r.id and e.child_id = r.root
    join jobs f on f.id = r.root
    join jobs n on n.id = r.id
    where r.id = any(new_nodes)
    limit 1;
    if found then
        perform invalid(field, format('must not make a cycle: %s comes after %s', found_at.node, found_at.follower));
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
      and (w.job_id is null or w.role in ('signal', 'items', 'turn') or exists (select from jobs i where i.id = w.job_id and i.spec ? 'map' offset 0))
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
-- roles: operator
create function dag_complete(dag_id bigint, node text, output jsonb default null) returns text
language plpgsql security definer set search_path from current
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
-- roles: operator, reader
create function dag_critical_path(dag_id bigint)
returns table ("position" integer, name text, job_id bigint, waited interval, ran interval, share double precision)
language plpgsql stable security definer set search_path from current
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
-- roles: operator, reader
create function dag_dot(
    dag_id bigint, theme text default 'default', colored boolean default true, direction text default 'TD',
    max_nodes integer default 500)
returns text
language plpgsql stable security definer set search_path from current
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
                lines := lines || (repeat('    ', depth + 1) || (n ->> 'id') || 'x [label="...", shape=plaintext];');
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
        lines := lines || format('    more [label="... and %s more", style=dashed];', graph ->> 'more');
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
                       select from jobs p where p.id = r.id and (p.name = j.name || '/(start)' or not starts_with(p.name, j.name || '/')) offset 0)
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
-- roles: operator, reader
create function dag_explain(dag_id bigint, node text default null)
returns table (reason text, detail text, job_id bigint)
language plpgsql stable security definer set search_path from current
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
-- dag_extend(dag_id, spec): adds nodes to a DAG under way, {"nodes": [...]}, in the caller's transaction: a handler does it before
-- it completes. New nodes may come after existing ones, and ("before") before existing ones that still wait.
-- The DAG ends when they have ended, too. Returns the ids of the nodes in their order.
-- Raises PQ001 with all that is wrong (dag_problems), for a DAG that has ended or is being cancelled, for a node of "before"
-- that waits no more, and for a cycle, be it by way of other DAGs; PQ004 for an unknown DAG. Nothing is written then.
-- Locks: cycles, if new nodes come after other DAGs or nodes of such: several that extend at once could make a cycle that none of
-- them sees; the DAG, and those of the jobs that new nodes come after; what pin locks; rows of waiting by job.
-- What it costs depends on the nodes that are added, not on how many there are.
-- roles: worker, operator
create function dag_extend(dag_id bigint, spec jsonb) returns setof bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    root record;
    outer_ids bigint[];
    followers bigint[];
    sinks bigint[];
    added bigint[];
begin
    outer_ids := array(
        select j.id from jobs j
        where j.id = any(array(
            select trunc(id::numeric)::bigint
            from jsonb_path_query(dag_extend.spec, 'lax $.nodes[*].after[*].job ? (@.type() == "number" && @ >= 1 && @ < 9223372036854775807)') id))
          and (j.dag_id is not null or j.role is not null));
    if outer_ids <> '{}' then
        perform pg_advisory_xact_lock(advisory_key('cycles'));
    end if;
    perform lock_dags(dag_extend.dag_id || outer_ids);
    perform lock_dag(dag_id);
    perform dag_refuse(spec, dag_id);
    select w.* into root from waiting w where w.job_id = dag_extend.dag_id;
    if not found or root.ending is not null then
        perform invalid('dag_id', 'must be a DAG under way');
    end if;
    followers := array(
        select j.id
        from (select distinct b from jsonb_path_query(spec, 'lax $.nodes[*].before[*]') b) n
        cross join lateral (
            select id from jobs where jobs.dag_id = dag_extend.dag_id and name = n.b #>> '{}' offset 0) j);
    -- A sub-DAG that nodes are added to must not end meanwhile, nor what they come before start.
    sinks := array(
        with recursive scopes as (
            select scope_of(n ->> 'name') as scope from jsonb_array_elements(spec -> 'nodes') n
            union
            select scope_of(s.scope) from scopes s
        )
        select j.id
        from scopes s
        cross join lateral (
            select id from jobs where jobs.dag_id = dag_extend.dag_id and name = s.scope and role = 'dag' offset 0) j
        union select dag_extend.dag_id);
    perform w.job_id from waiting w where w.job_id = any(followers || sinks) order by w.job_id for update;
    perform dag_check_open(followers || sinks);
    added := dag_add(dag_id, spec -> 'nodes');
    perform dag_check_cycle('before', followers, added);
    if outer_ids <> '{}' then
        perform dag_check_cycle('after', sinks, added);
    end if;
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
-- roles: operator
create function dag_fail(dag_id bigint, node text, error text default 'refused') returns text
language plpgsql security definer set search_path from current
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
               exists (select from edges e where e.child_id = m.id and e.parent_id = any(job_ids) and not is_item(e.parent_id, m.id) offset 0) as anew
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
-- roles: operator
create function dag_fork(dag_id bigint, nodes text[]) returns bigint
language plpgsql security definer set search_path from current
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
                      dag_id, name, role, rule, spec, group_name)
    select new_ids[u.place], queue, kind, priority, max_attempts, timeout, backoff, result_ttl, tags, metadata, codec, payload, args,
           case when j.dag_id is not null then fork end, name, role, rule,
           case when j.dag_id is null then spec - 'key' || jsonb_build_object('forked_from', dag_fork.dag_id)
                when spec ? 'map' then spec || jsonb_build_object('map', renumber((spec ->> 'map')::bigint, old_ids, new_ids))
                else spec end,
           group_name
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
-- {"nodes": [...], "edges": [...], "more": 12}. Raises PQ004 when there is no such DAG. Reads all nodes of the DAG, and the
-- edges of those that are shown. Locks nothing.
--
-- nodes: id (n0, n1 ... in the order of the job ids, so that they stay the same when nodes are added; j17 for job 17, which is
--   not of this DAG), job_id, name, label (the last part of the name), role, rule, at_least, state (held for one that
--   waits and is held), done and total (of the items of a map, once known), depth (0 at the top) and empty (true for a
--   sub-DAG of which no node is shown); for sub-DAGs first and last: ids of nodes inside. Sub-DAGs are
--   followed by their nodes. The first max_nodes by job id are shown, and the sub-DAGs that these are in;
--   gates and items of maps are not. more: how many others there are.
-- edges: from and to (ids), soft, condition. Those into a gate end at its sub-DAG; those out of it, from the
--   nodes of a sub-DAG to itself and those into the DAG are not shown. At most 100 jobs that are not of this DAG.
-- roles: operator, reader
create function dag_graph_json(dag_id bigint, max_nodes integer default 500) returns jsonb
language plpgsql stable security definer set search_path from current
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
-- Raises PQ004 for an unknown DAG.
-- Locks: the DAG, and those that it comes after, since nodes that go back to waiting have their parents there pinned; rows of
-- waiting by job, then what withdraw locks.
-- roles: operator
create function dag_hold(dag_id bigint, reason text default null) returns bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    members bigint[];
    held bigint;
    gone record;
begin
    perform lock_dags(array[dag_hold.dag_id] || array(
        select distinct e.parent_id
        from jobs m
        cross join lateral (select parent_id from edges where child_id = m.id offset 0) e
        cross join lateral (select dag_id, role from jobs where jobs.id = e.parent_id offset 0) p
        where m.dag_id = dag_hold.dag_id and coalesce(p.dag_id, -1) <> dag_hold.dag_id));
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
    perform record_event('held', j.id, j.queue, 0, null, operator_data(dag_hold.reason, null))
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
-- roles: owner
create function dag_insert(dag_id bigint, nodes jsonb) returns bigint[]
language plpgsql set search_path from current
set jit = off set enable_hashjoin = on set enable_nestloop = off set plan_cache_mode = force_generic_plan
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
               n.payload, n.after, n.over, n.at_least, n."group" as group_name, e.value as node, d.held, d.enqueued_by
        from (select d.queue, d.priority, d.enqueued_by, coalesce(w.held, false) as held
              from jobs d left join waiting w on w.job_id = d.id where d.id = dag_insert.dag_id) d
        cross join jsonb_array_elements(nodes) with ordinality e
        cross join lateral jsonb_to_record(e.value) n(
            name text, type text, rule text, queue text, priority smallint, kind text, args jsonb, max_attempts integer,
            timeout interval, backoff jsonb, tags text[], metadata jsonb, ttl interval, codec text, payload text, after jsonb,
            over text, at_least integer, "group" text)
    ), gates as materialized (
        select nextval('jobs_id_seq') as id, s.id as sub_id, s.name, s.name || '/(start)' as gate, s.queue, s.priority, s.rule, s.at_least, s.held
        from input s
        where s.type = 'dag'
          and (jsonb_array_length(s.after) > 0
               or exists (select from input o where o.type = 'dag' and jsonb_array_length(o.after) > 0 and starts_with(s.name, o.name || '/'))
               or exists (select from jobs g where g.dag_id = dag_insert.dag_id and g.role = 'gate' and starts_with(s.name, left(g.name, -7)) offset 0))
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
              select o.id, s.scope
              from (select distinct scope from members where scope <> '') s
              cross join lateral (
                  select id from jobs where jobs.dag_id = dag_insert.dag_id and name = s.scope || '/(start)' offset 0) o) g on g.name = m.scope
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
                          dag_id, name, role, rule, spec, enqueued_by, group_name)
        select id, queue, case when is_job then kind else type end, priority, case when is_job then max_attempts end,
               case when is_job then timeout end, case when is_job then nullif(backoff, 'null') end, case when is_job then expires_at end,
               tags, nullif(metadata, 'null'), case when is_job then codec end, case when is_job then decode(payload, 'base64') end,
               case when is_job then nullif(args, 'null') end, dag_insert.dag_id, name, nullif(type, 'job'), rule,
               case when not is_job or node ?| '{at_least,delay,callbacks}' then dag_spec(type, node, queue, priority) end, enqueued_by, case when is_job then group_name end
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
-- roles: worker, operator, payloads
create function dag_items(map_id bigint, after bigint default 0, at_most integer default 1000)
returns table (item_id bigint, index integer, name text, state text, output jsonb, codec text, payload bytea, error text)
language plpgsql stable security definer set search_path from current
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
            limit within('at_most', at_most, 0, 1000000)) j
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
-- roles: operator, reader
create function dag_levels(dag_id bigint)
returns table (name text, level integer)
language plpgsql stable security definer set search_path from current
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
-- roles: operator, reader
create function dag_mermaid(
    dag_id bigint, theme text default 'default', colored boolean default true, direction text default 'TD',
    max_nodes integer default 500)
returns text
language plpgsql stable security definer set search_path from current
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
                lines := lines || (repeat('    ', depth + 1) || (n ->> 'id') || 'x["..."]');
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
        lines := lines || format('    more["... and %s more"]', graph ->> 'more');
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
-- dag_of_key(name, key): the id of the DAG with this name and key; null when there is none (any more). Locks nothing.
-- roles: worker, operator, reader
create function dag_of_key(name text, key text) returns bigint
language sql stable security definer set search_path from current
as $$ select k.dag_id from dag_keys k where k.kind = dag_of_key.name and k.key = dag_of_key.key $$;
comment on function dag_of_key is 'The DAG with a name and key.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_problems(spec, dag_id): everything that is wrong with a DAG document, at once: which node (null: the DAG itself; nodes
-- without a name that can be shown are called nodes[0] ...), which of its fields, and the rule that it breaks.
-- No rows: dag_submit takes it. With the id of a DAG: a document that extends that one (dag_extend); its nodes may then
-- come after nodes that are there already, and before such as still wait.
-- The document's fields are listed in docs/dags.md and in dag_problems_fields. Locks nothing.
--
-- The nodes are read once, into arrays and into lists of those that need a closer look.
-- roles: worker, operator
create function dag_problems(spec jsonb, dag_id bigint default null) returns table (node text, field text, rule text)
language plpgsql stable security definer set search_path from current
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
        on_failure text, key text, "group" text, callbacks jsonb)
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
        when group_problem(o."group") is not null then group_problem(o."group")
        else coalesce(job_problem(
            case when s.type in ('job', 'map', 'document') then o.kind else '-' end, coalesce(o.queue, 'default'),
            coalesce(o.priority, 5), o.delay, null, o.max_attempts, o.timeout, nullif(o.backoff, 'null'), o.tags,
            nullif(o.metadata, 'null'), o.ttl, o.result_ttl, o.codec, case when o.payload is not null then ''::bytea end,
            nullif(o.args, 'null')), callbacks_problem(nullif(o.callbacks, 'null')))
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
           ('group', '{job,map}', 'text', null),
           ('result_ttl', '{job,map,document}', 'interval', null),
           ('callbacks', '{job,map}', 'jsonb', null),
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
-- roles: worker, operator, reader
create function dag_progress(dag_id bigint)
returns table (
    total bigint, waiting bigint, scheduled bigint, ready bigint, running bigint, completed bigint, failed bigint,
    cancelled bigint, expired bigint, skipped bigint, fraction double precision, elapsed interval, remaining interval)
language plpgsql stable security definer set search_path from current
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
-- dag_reset(job_ids, told): lets nodes that have ended run again, in place: they wait for their parents anew, and so do those of
-- their descendants that were skipped, and the DAG and sub-DAGs they are in. Whatever else has ended stays as it is.
-- Maps among them whose source is reset, too, are expanded anew. Returns the jobs that were reset. told: who does it and why, for the events.
-- Internal: dag_retry, dag_fork and retry, which hold the locks of the chores and of the DAGs.
-- Locks: rows of waiting by job, what pin locks, then rows of results by job.
create function dag_reset(job_ids bigint[], told jsonb default null) returns bigint[]
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
    perform record_event('retry_requested', j.id, j.queue, data => coalesce(told, operator_data(null, null))) from jobs j where j.id = any(gone.ids) and j.role is distinct from 'gate';
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
-- roles: worker, operator, payloads
create function dag_result(job_id bigint, node text)
returns table (parent_id bigint, name text, role text, state text, output jsonb, codec text, payload bytea, error text, cause_id bigint)
language plpgsql stable security definer set search_path from current
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
-- roles: operator
create function dag_resume(dag_id bigint) returns bigint
language plpgsql security definer set search_path from current
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
    perform add_vacancies(array(select w.group_name from waiting w where w.job_id = any(members) and w.role = 'turn'));
    perform record_event('resumed', j.id, j.queue, data => operator_data(null, null)) from jobs j where j.id = dag_resume.dag_id;
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
-- roles: operator
create function dag_retry(dag_id bigint, mode text default 'failed', nodes text[] default null) returns setof bigint
language plpgsql security definer set search_path from current
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
-- roles: operator, reader
create function dag_slowest(dag_id bigint, at_most integer default 10)
returns table (name text, job_id bigint, kind text, state text, attempt integer, worker_id bigint, ran interval)
language plpgsql stable security definer set search_path from current
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
        return jsonb_strip_nulls(jsonb_build_object('at_least', node -> 'at_least', 'delay', node -> 'delay'))
            || case when jsonb_typeof(node -> 'callbacks') = 'object' then jsonb_build_object('callbacks', node -> 'callbacks') else '{}' end;
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
-- written then. 42501 for producers that go beyond their rights, which comes first, and where the key is that of a DAG in a queue that was not granted. With a key it waits for a transaction under way that submits the same.
-- Locks: places of jobs outside of the DAG that nodes depend on (pin).
-- roles: producer
create function dag_submit(spec jsonb, out dag_id bigint, out created boolean)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_variable
declare
    kind constant text := spec ->> 'name';
    key constant text := spec ->> 'key';
    deadline interval;
    added bigint[];
    producer constant integer := case when not is_owner(caller()) then check_producer(
        coalesce(spec ->> 'queue', 'default') || queues_named(spec -> 'nodes', coalesce(spec ->> 'queue', 'default'))) end;
begin
    created := false;
    select k.dag_id into dag_id from dag_keys k where k.kind = kind and k.key = key;
    if found then
        perform check_holders(array[dag_id]);
        return;
    end if;
    perform dag_refuse(spec);
    dag_id := nextval('jobs_id_seq');
    if key is not null then
        insert into dag_keys (kind, key, dag_id) values (kind, key, dag_id) on conflict do nothing;
        if not found then
            select k.dag_id into dag_id from dag_keys k where k.kind = kind and k.key = key;
            perform check_holders(array[dag_id]);
            return;
        end if;
    end if;
    created := true;
    deadline := (spec ->> 'deadline')::interval;
    insert into jobs (id, queue, kind, priority, result_ttl, expires_at, tags, metadata, role, spec, enqueued_by)
    select dag_id, coalesce(d.queue, 'default'), kind, coalesce(d.priority, 5), d.result_ttl, now() + deadline,
           d.tags, nullif(d.metadata, 'null'), 'dag',
           jsonb_strip_nulls(jsonb_build_object('key', key, 'on_failure', spec -> 'on_failure', 'output', spec -> 'output')), producer
    from jsonb_to_record(spec) d(queue text, priority smallint, result_ttl interval, tags text[], metadata jsonb);
    if deadline is not null then
        insert into expiries (expires_at, job_id) values (now() + deadline, dag_id);
    end if;
    added := dag_add(dag_id, spec -> 'nodes');
    if producer is not null then
        perform check_submitter(dag_id);
    end if;
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
-- roles: producer, worker, operator, reader
create function dag_theme(theme text default 'default')
returns table (state text, fill text, stroke text, color text)
language plpgsql immutable security definer set search_path from current
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
-- roles: worker, operator, payloads
create function dag_upstream(job_id bigint)
returns table (parent_id bigint, name text, role text, state text, output jsonb, codec text, payload bytea, error text, cause_id bigint)
language plpgsql stable security definer set search_path from current
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
-- deal(queue_name, wanted, kinds, worst, at): takes up to wanted jobs out of waiting whose turn it is: groups take turns by their weights
-- (start-time fair queueing: P. Goyal, H. Vin, H. Cheng, 1996), a group without room (limits of running and rate, pauses, of the group and of
-- the kind) loses its turn; within a group by priority, worst at the most, and seq, or by age (take_aged) where jobs of the queue age. Only of these kinds (null: of any).
-- counted: which have slots. at: the time at which these attempts begin, for which pauses and buckets are asked; null: that at which nobody else
-- deals any more. Returns null arrays when it is nobody's turn, or while somebody else deals. Internal: claim_turns, which leases the jobs.
-- Nobody else deals until the transaction ends: so what was counted stays so, and slots and backlogs need no locks of rows (gates are also
-- written by operators' pauses, one at a time).
-- A slot that a transaction frees is found by the claim that follows it, and so are failures that circuit breakers count.
--
-- What it costs goes by what it takes, not by what waits: it looks at the groups that are first in line, and parks those for which there is no room
-- (park) so that the next one need not look at them. It looks at 200 groups more than it is to take at the most; those that it
-- has not come to are the first in line then.
-- Locks: the advisory lock "deal", if it is free; rows of waiting, skipping those that others have locked.
create function deal(
    queue_name text, wanted integer, kinds text[], worst smallint, inout at timestamptz,
    out job_ids bigint[], out attempts integer[], out counted boolean[])
language plpgsql
as $$
#variable_conflict use_column
declare
    most integer := 200 + 2 * wanted; -- groups to look at
    step integer := wanted;           -- of these in the next round
    ages constant interval := (select s.age_every from settings_of(queue_name) s);
    dealt record;
begin
    if not pg_try_advisory_xact_lock(advisory_key('deal')) then
        return;
    end if;
    at := coalesce(at, clock_timestamp());
    perform tend_breakers();
    perform unpark(queue_name, most);
    while wanted > 0 and most > 0 loop
        select * into dealt from deal_round(queue_name, wanted, kinds, worst, ages, at, least(step, most));
        exit when dealt.seen = 0;
        job_ids := job_ids || dealt.job_ids;
        attempts := attempts || dealt.attempts;
        counted := counted || dealt.counted;
        wanted := wanted - coalesce(cardinality(dealt.job_ids), 0);
        most := most - dealt.seen;
        step := greatest(wanted, 2 * dealt.seen + 10);
    end loop;
end
$$;
comment on function deal is 'Takes jobs out of waiting whose turn it is.';
-- +goose StatementEnd

-- +goose StatementBegin
-- deal_round(queue_name, wanted, kinds, worst, ages, at, at_most): a round of deal among the groups that are first in line, at_most of them: each has as many turns as would
-- be its share. counted: whether they have slots. seen: how many there were; 0: there is nobody whose turn it could be. Each of them has got on, is parked, or is held up by a kind that has
-- no room any more, so that the next round finds others. Internal: deal.
create function deal_round(
    queue_name text, wanted integer, kinds text[], worst smallint, ages interval, at timestamptz, at_most integer,
    out job_ids bigint[], out attempts integer[], out counted boolean[], out seen integer)
language plpgsql
set enable_hashjoin = on -- of what was looked at; all tables are looked into row by row
as $$
#variable_conflict use_column
declare
    limited constant boolean := exists (select from limits where scope = 'group');
    gated constant boolean := exists (select from gates where scope = 'group');
    round record;
begin
    with pairs as materialized (
        select p.kind, p.priority from kinds_in_line(queue_name) p
        where (deal_round.kinds is null or p.kind = any(deal_round.kinds)) and p.priority <= coalesce(worst, 9)
    ), kind_rooms as materialized (
        select k.kind, l.max_running is not null as counts,
               least(
                   l.max_running - case when l.max_running is not null then (select count(*) from slots s where s.kind = k.kind) end,
                   floor(tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, deal_round.at)),
                   gate_room(g.paused_until, g.opened_at, g.probe_at, g.probe_id, deal_round.at))::integer as room
        from (select distinct kind from pairs) k
        left join lateral (select * from limits x where x.scope = 'kind' and x.name = k.kind offset 0) l on true
        left join lateral (select * from gates x where x.scope = 'kind' and x.name = k.kind offset 0) g on true
    ), firsts as materialized (
        select f.group_name, min(f.turn) as turn
        from (select b.group_name, b.turn
              from pairs p
              join kind_rooms k on k.kind = p.kind and coalesce(k.room, 1) > 0
              cross join lateral (
                  select x.group_name, x.turn from backlogs x
                  where x.queue = queue_name and x.kind = p.kind and x.priority = p.priority and x.parked_until is null
                  order by x.turn, x.group_name
                  limit least(at_most, k.room)) b
              order by b.turn, b.group_name
              limit at_most) f
        group by f.group_name
    ), players as materialized (
        select f.group_name, t.turn, greatest(t.turn, c.at) as start, coalesce(l.weight, 1) as weight, l.max_running is not null as counts,
               v.seats, r.room,
               t.turn > f.turn and t.turn > c.at as stale, -- a row that was added since the group had this turn: it is not its turn yet
               case
                   when v.seats <= 0 or g.probe_id is not null then deal_round.at + interval '5 min' -- a vacancy comes before that
                   else greatest(deal_round.at + interval '1 ms', g.paused_until, g.probe_at, deal_round.at + (1 - v.tokens) / l.rate * l.period)
               end as until
        from firsts f
        cross join (select coalesce((select time from clocks where queue = queue_name), 0) as at) c
        cross join lateral (select max(b.turn) as turn from backlogs b where b.queue = queue_name and b.group_name = f.group_name offset 0) t
        left join lateral limit_of(f.group_name) l on limited
        left join lateral (select * from gates x where x.scope = 'group' and x.name = f.group_name and gated offset 0) g on true
        cross join lateral (
            select l.max_running - case when l.max_running is not null then (select count(*) from slots s where s.group_name = f.group_name) end as seats,
                   tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, deal_round.at) as tokens
            offset 0) v
        cross join lateral (
            select least(wanted, v.seats, floor(v.tokens), gate_room(g.paused_until, g.opened_at, g.probe_at, g.probe_id, deal_round.at)) as room) r
    ), shares as materialized (
        select p.*, least(p.room, ceil(wanted::numeric / count(*) over ()) * p.weight)::integer as share
        from players p where p.room > 0 and not p.stale
    ), hands as materialized (
        select p.group_name, p.share, p.weight, k.kind, k.room, p.counts or k.counts as counts, w.*,
               p.start + row_number() over (partition by p.group_name order by a.due, w.priority, w.seq)::float8 / p.weight as finish,
               row_number() over (partition by p.group_name order by a.due, w.priority, w.seq) as place
        from shares p
        cross join lateral (
            select distinct b.kind, case when ages is not null then b.priority end as priority -- each priority by itself, where jobs age
            from backlogs b where b.queue = queue_name and b.group_name = p.group_name and b.emptied_at is null) n
        join kind_rooms k on k.kind = n.kind and coalesce(k.room, 1) > 0
        cross join lateral (
            select x.ctid as tid, x.job_id, x.attempt + 1 as attempt, x.priority, x.seq, x.since
            from waiting x
            where x.role = 'turn' and x.queue = queue_name and x.group_name = p.group_name and x.kind = n.kind
              and not x.held and x.priority between coalesce(n.priority, 0) and coalesce(n.priority, worst, 9)
            order by x.priority, x.seq
            limit p.share
            for update skip locked) w
        left join lateral (
            select coalesce(w.since, (select created_at from jobs where id = w.job_id)) + w.priority * ages as due where ages is not null offset 0) a on true
    ), allowed as (
        select *, row_number() over (partition by kind order by finish, group_name) as of_kind from hands where place <= share
    ), dealt as materialized (
        select * from allowed where room is null or of_kind <= room order by finish, group_name limit wanted
    ), taken as (
        delete from waiting w where w.ctid = any(array(select tid from dealt))
    ), seated as (
        insert into slots (job_id, attempt, group_name, kind)
        select job_id, attempt, group_name, kind from dealt where counts
        on conflict (job_id) do update set attempt = excluded.attempt, group_name = excluded.group_name, kind = excluded.kind
    ), looked as (
        -- By grouping, since a join would compare each group with each other one: how many there are is not foreseen.
        select g.group_name,
               coalesce(max(g.finish), max(g.turn) filter (where g.stale)) as turn,
               case when bool_or(g.blocked) then max(g.until) when max(g.seats) <= count(g.finish) then deal_round.at + interval '5 min' end as until,
               not bool_or(g.blocked or g.stale or g.in_hand) as vain
        from (select p.group_name, p.turn, p.stale, p.room <= 0 as blocked, p.seats, p.until, null::float8 as finish, false as in_hand from players p
              union all
              select h.group_name, null, false, false, null, null, null, true from hands h
              union all
              select d.group_name, null, false, false, null, null, d.finish, true from dealt d) g
        group by g.group_name
    )
    select * into round
    from (select array_agg(job_id order by finish, group_name) as job_ids, array_agg(attempt order by finish, group_name) as attempts,
                 array_agg(group_name order by finish, group_name) as groups, array_agg(kind order by finish, group_name) as kinds,
                 array_agg(counts order by finish, group_name) as counted, max(finish - 1 / weight::float8) as started
          from dealt) d
    cross join (
          select count(*) as n, array_agg(group_name order by group_name) as looked, array_agg(turn order by group_name) as turns,
                 array_agg(until order by group_name) as untils, array_agg(vain order by group_name) as vain
          from looked) l;
    job_ids := round.job_ids;
    attempts := round.attempts;
    counted := round.counted;
    seen := round.n;
    if seen > 0 then
        perform park(queue_name, round.looked, round.turns, round.untils, round.vain);
    end if;
    if job_ids is null then
        return;
    end if;
    insert into clocks as c (queue, time) values (queue_name, round.started)
    on conflict (queue) do update set time = excluded.time where c.time < excluded.time;
    if exists (select from limits l where l.rate is not null) then
        perform spend(array_agg(s.scope), array_agg(s.name), array_agg(s.n), deal_round.at)
        from (select 'group' as scope, g.name, count(*) as n from unnest(round.groups) g(name) where g.name <> '' group by g.name
              union all
              select 'kind', k.name, count(*) from unnest(round.kinds) k(name) group by k.name) s;
    end if;
    if exists (select from gates g where g.opened_at is not null) then
        update gates g set (probe_id, probe_attempt) = (d.job_id, d.attempt)
        from unnest(round.job_ids, round.attempts, round.groups, round.kinds) d(job_id, attempt, group_name, kind)
        where g.probe_at <= deal_round.at and g.probe_id is null and g.scope <> 'queue' and g.name = case g.scope when 'group' then d.group_name else d.kind end;
    end if;
end
$$;
comment on function deal_round is 'A round of dealing.';
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
    asked record;
    finished bigint[];
    opening record;
begin
    select array_agg(id order by id) as ids, array_agg((verdict = 'skip')::integer order by id) as skips
    into asked
    from unnest(job_ids, verdicts) u(id, verdict);
    with gone as (
        delete from waiting w
        where w.job_id = any(asked.ids)
          and (w.role is null or w.role in ('dag', 'gate', 'items') or asked.skips[width_bucket(w.job_id, asked.ids)] = 1)
        returning w.*, asked.skips[width_bucket(w.job_id, asked.ids)] = 1 as skip
    ), ended as materialized (
        select g.*, j.dag_id, j.name, j.result_ttl, j.rule, s.state,
               case when s.state in ('failed', 'skipped')
                         and (g.role in ('dag', 'items') or g.failed > g.max_failed or g.ok < g.need_ok)
                    then g.cause_id end as cause,
               case when s.state = 'completed' and g.role in ('items', 'dag')
                    then virtual_result(g.job_id, g.role, g.ok, g.failed) end as result
        from gone g
        cross join lateral (select * from jobs where jobs.id = g.job_id offset 0) j
        cross join lateral (select case
            when g.ending is not null then g.ending
            when g.role is not distinct from 'dag' and j.dag_id is not null and gate_was_skipped(j.dag_id, j.name) then 'skipped'
            when g.role = 'dag' and g.failed > 0 then 'failed'
            when g.role = 'items' and g.skip then 'failed'
            when g.skip then 'skipped'
            else 'completed' end) s(state)
    ), added as (
        insert into results (job_id, queue, state, attempt, expires_at, error, dag_id, cause_id, output, codec, payload)
        select job_id, queue, state, attempt, now() + result_ttl,
               case
                   when state = 'completed' then null
                   when reason is not null then reason
                   when cause is null then format('rule %s: of its parents %s succeeded, %s failed, %s were skipped',
                                                  coalesce(rule, 'all'), ok, failed, skipped)
                   else (select format('%s %s', coalesce(j.name, 'job ' || f.job_id), f.state)
                         from results f left join jobs j on j.id = f.job_id
                         where f.job_id = cause) end,
               dag_id, cause, (result).output, (result).codec, (result).payload
        from ended
    ), listening as materialized (
        select queue, wants_event(queue, true) as change, wants_event(queue, false) as every
        from (select distinct queue from ended) q
    ), told as (
        insert into events (job_id, queue, type, attempt, data)
        select e.job_id, e.queue, e.state, e.attempt, jsonb_strip_nulls(jsonb_build_object('cause', e.cause))
        from ended e
        join listening l on l.queue = e.queue
             and case when e.role in ('dag', 'items') or e.state <> 'completed' then l.change else l.every and e.role <> 'gate' end
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
-- delete(job_ids, reason, actor): deletes jobs with all that is known of them, unless they run; a DAG that has ended with all its nodes.
-- Outcome per job: deleted, running (cancel it first), node (of a DAG: delete that), not_found. The children of a job
-- that had not ended take its deletion as a failure; its sequence goes on, also one that it has stopped.
-- Writes an event "deleted" of each, with its kind and where it was; actor is who does it, the session's user by default.
-- Locks: the DAGs; what withdraw locks, or rows of results by job.
-- roles: operator
create function delete(job_ids bigint[], reason text default null, actor text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    taken record;
    gone bigint[];
    lined bigint[];
    moved bigint[];
begin
    perform lock_dags(job_ids);
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by array_position('{waiting,scheduled,ready,running}', p.place), p.place loop
            if exists (select from jobs j where j.id = any(found_at.ids) and j.dag_id is not null) then
                return query select j.id, 'node' from jobs j where j.id = any(found_at.ids) and j.dag_id is not null;
                found_at.ids := array(select j.id from jobs j where j.id = any(found_at.ids) and j.dag_id is null order by j.id);
            end if;
            if found_at.place = 'waiting' then
                -- Those in the line of a sequence can go.
                lined := array(select w.job_id from waiting w where w.job_id = any(found_at.ids) and w.sequence is not null);
                return query select id, 'running' from unnest(found_at.ids) id where id <> all(lined);
                found_at.ids := lined;
            end if;
            if found_at.place in ('running', 'not_found') then
                return query select id, found_at.place from unnest(found_at.ids) id;
                continue;
            elsif found_at.place = 'lost' then
                moved := moved || found_at.ids;
                continue;
            elsif found_at.place in ('ready', 'scheduled', 'waiting') then
                select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
                       array_agg(w.queue order by w.job_id) as queues,
                       array_agg(w.attempt order by w.job_id) as attempts
                into taken from (select job_id, queue, attempt from withdraw(case when found_at.place <> 'waiting' then found_at.ids end)
                      union all select job_id, queue, attempt from withdraw_waiting(case when found_at.place = 'waiting' then found_at.ids end)) w;
                -- Nobody can make them parents any more: those that are, are deleted from results, once all children know.
                if exists (select from edges e where e.parent_id = any(taken.ids)) then
                    perform settle(taken.ids, taken.queues, taken.attempts, 'cancelled', 'deleted', quiet => true);
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
            perform record_event('deleted', j.id, j.queue, data => operator_data(reason, actor, jsonb_build_object('kind', j.kind, 'state', found_at.place)))
            from jobs j where j.id = any(gone);
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
comment on function delete is 'Deletes jobs with all that is known of them, unless they run. Says of each: deleted, running, node or not_found.';
-- +goose StatementEnd

-- +goose StatementBegin
-- delete_consumer(name): deletes a consumer and its position; events are no longer kept for it. Raises PQ004 when there is none.
-- Locks: its row.
-- roles: operator
create function delete_consumer(name text) returns void
language plpgsql security definer set search_path from current
as $$
begin
    delete from consumers c where c.name = delete_consumer.name;
    if not found then
        raise exception using errcode = 'PQ004', message = format('no consumer %s', delete_consumer.name);
    end if;
end
$$;
comment on function delete_consumer is 'Deletes a consumer of events.';
-- +goose StatementEnd

-- +goose StatementBegin
-- delete_limit(scope, name, reason, actor): takes the limit of a queue, kind or group away. Returns whether there was one. Writes an event "limit_deleted".
-- Raises PQ001 for a scope that is none. Locks: the row of limits, then that of gates.
-- roles: operator
create function delete_limit(scope text, name text, reason text default null, actor text default null) returns boolean
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    gone boolean;
begin
    perform check_scope(scope, name);
    delete from limits l where l.scope = delete_limit.scope and l.name = delete_limit.name;
    gone := found;
    perform drop_gate(scope, name);
    if gone then
        perform record_operation('limit_deleted', case scope when 'queue' then name end,
            operator_data(reason, actor, jsonb_build_object('scope', scope, 'name', name)));
    end if;
    perform wake_turns(scope, name);
    return gone;
end
$$;
comment on function delete_limit is 'Takes a limit away. Returns whether there was one.';
-- +goose StatementEnd

-- +goose StatementBegin
-- delete_schedule(name): deletes a schedule and what is known of its runs; the jobs that it enqueued stay. Raises PQ004 when there is
-- none. Locks: its row.
-- roles: operator
create function delete_schedule(name text) returns void
language plpgsql security definer set search_path from current
as $$
begin
    perform find_schedule(delete_schedule.name);
    delete from schedules s where s.name = delete_schedule.name;
    delete from schedule_runs r where r.schedule = delete_schedule.name;
end
$$;
comment on function delete_schedule is 'Deletes a schedule.';
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
    at_once constant integer := 5000; -- children of one parent
    lasts bigint[] := last_children;
    mapping bigint[] := '{}'; -- children of which the items alone count
    missed bigint[];
    put_off boolean := false;
    news record;
    judged record;
begin
    loop
        select array_agg(child_id) as children, array_agg(pending) as pending, array_agg(ok) as ok, array_agg(failed) as failed,
               array_agg(skipped) as skipped, array_agg(cause_id) as causes, sum(pending) as edges
        into news
        from (
            select child_id, count(*)::integer as pending,
                   (count(*) filter (where outcome = 'ok'))::integer as ok,
                   (count(*) filter (where outcome = 'failed'))::integer as failed,
                   (count(*) filter (where outcome = 'skipped'))::integer as skipped,
                   coalesce(min(cause_id) filter (where outcome = 'failed'), 0) as cause_id
            from (
                select e.child_id, coalesce(f.cause_id, f.job_id) as cause_id,
                       edge_outcome(f.state, f.cause_id, f.output, e.soft, e.condition) as outcome
                from unnest(parents, first_children, lasts) p(id, first_child, last_child)
                cross join lateral (select * from results where job_id = p.id offset 0) f
                cross join lateral (
                    select * from edges
                    where parent_id = f.job_id and child_id between p.first_child and p.last_child
                    order by child_id
                    limit at_once + 1) e
                where e.child_id <> all(mapping) or is_item(f.job_id, e.child_id)
                offset 0) told
            group by child_id
            order by child_id) by_child;
        if news.children is null then
            return '{}';
        end if;
        if news.edges > at_once and lasts = last_children then
            lasts := put_off_wide(parents, first_children, last_children, at_once);
            put_off := lasts <> last_children;
            continue when put_off;
        end if;
        select count(*) as locked, array_agg(job_id) as ids,
               array_agg(job_id) filter (where kept) as kept, array_agg(pending) filter (where kept) as pending,
               array_agg(ok) filter (where kept) as ok, array_agg(failed) filter (where kept) as failed,
               array_agg(skipped) filter (where kept) as skipped, array_agg(cause_id) filter (where kept) as causes,
               array_agg(job_id) filter (where verdict = 'run' and role is null) as starting,
               array_agg(job_id) filter (where verdict is not null and kept) as others,
               array_agg(verdict) filter (where verdict is not null and kept) as verdicts,
               array_agg(job_id) filter (where verdict is null and role = 'items') as maps,
               -- A map under way waits for its items only; an external node that was reached, or a job that waits for its turn, for no parents any more.
               array_agg(job_id) filter (where role in ('items', 'signal', 'turn') and job_id <> all(mapping)) as mapping
        into judged
        from (
            select *, role is not null or verdict is distinct from 'run' as kept
            from (
                select *, node_verdict(pending, ok, failed, skipped, need_ok, need_failed, max_failed, max_skipped, eager,
                                       held and (role is null or role not in ('dag', 'items'))) as verdict
                from (
                    select job_id, role, held, need_ok, need_failed, max_failed, max_skipped, eager,
                           pending - news.pending[n] as pending, ok + news.ok[n] as ok, failed + news.failed[n] as failed,
                           skipped + news.skipped[n] as skipped, coalesce(cause_id, nullif(news.causes[n], 0)) as cause_id
                    from (
                        select *, width_bucket(job_id, news.children) as n
                        from waiting
                        where job_id = any(news.children)
                        order by job_id
                        for no key update skip locked) locked
                    offset 0) counted
                offset 0) judged) kept;
        exit when judged.mapping is null;
        mapping := mapping || judged.mapping;
    end loop;
    if judged.kept is not null then
        -- By "= any", as in complete: a join might walk all of waiting, which the planner takes for empty at times.
        update waiting
        set pending = judged.pending[width_bucket(job_id, judged.kept)], ok = judged.ok[width_bucket(job_id, judged.kept)],
            failed = judged.failed[width_bucket(job_id, judged.kept)],
            skipped = judged.skipped[width_bucket(job_id, judged.kept)],
            cause_id = judged.causes[width_bucket(job_id, judged.kept)]
        where job_id = any(judged.kept);
    end if;
    if judged.locked < cardinality(news.children) then
        missed := array(select unnest(news.children) except select unnest(judged.ids));
        put_off := put_off_missed(parents, first_children, lasts, missed) or put_off;
    end if;
    if put_off and not quiet then
        perform wake_chores();
    end if;
    return carry_out(judged.starting, judged.others, judged.verdicts, judged.maps);
end
$$;
comment on function deliver is 'Tells the children of finished jobs how these ended.';
-- +goose StatementEnd

-- +goose StatementBegin
-- disown(worker_id, held): gives back all jobs leased to a worker but those that it says it holds: leases from
-- claims whose answer was lost on the way. The attempts do not count. Returns as fail does.
-- The worker must not claim meanwhile.
-- roles: worker
create function disown(worker_id bigint, held bigint[]) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
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
-- do_chores(): what has to be done now and then by any worker, one at a time: promote, expire, rescue, prune, firing
-- schedules that are due, and telling children of what their parents came to where the verb that finished these left it
-- (propagate_frontier), finding the next ones of sequences (fill_sequences), and jobs that wait for their turn (tend_backlogs,
-- tend_breakers, next_turn).
-- Returns after how many milliseconds to call again: 0 when more is due at once, at most 1000, less when a
-- scheduled job or a schedule is due earlier. Another session at it: 1000. Bounded: batches of 1,000 rows.
-- roles: worker, operator
create function do_chores() returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
set lock_timeout = '5s'
as $$
declare
    most constant integer := 1000;
    next_due timestamptz;
    next_turn timestamptz;
    more boolean;
    due_schedules boolean;
begin
    if not pg_try_advisory_xact_lock(advisory_key('chores')) then
        return 1000;
    end if;
    -- In transactions of its own; twice a second the others have their turn.
    due_schedules := exists (select from schedules s where s.fire_at <= now());
    if (due_schedules or exists (select from frontier) or exists (select from sequences s where s.job_id is null)) and not chore_is_due('round', interval '500 ms') then
        if due_schedules and fire_schedules(most) > 0 then
            return 0;
        end if;
        return case when fill_sequences(most) + propagate_frontier() > 0 then 0 else 20 end;
    end if;
    more := promote_due(most) >= most;
    more := expire(most) >= most or more;
    if chore_is_due('rescue', interval '2 s') then
        more := rescue(most) >= most or more;
    end if;
    if chore_is_due('prune', interval '10 s') then
        if greatest(prune(most), prune_events(10 * most) / 10) >= most then
            update chores set last_run_at = '-infinity' where name = 'prune';
            more := true;
        end if;
    end if;
    if exists (select from backlogs) or exists (select from gates) or exists (select from limits)
       or exists (select from waiting w where w.role = 'turn') then
        if chore_is_due('backlogs', interval '5 s') then
            perform tend_backlogs();
        end if;
        perform tend_breakers();
        next_turn := next_turn();
    end if;
    if more or due_schedules or exists (select from frontier) or exists (select from sequences s where s.job_id is null) then
        return 0;
    end if;
    select min(t.at) into next_due from (
        (select s.run_at as at from scheduled s where s.run_at > now() order by s.run_at limit 1)
        union all
        (select s.fire_at from schedules s where s.fire_at > now() order by s.fire_at limit 1)
        union all
        (select next_turn)
        union all
        (select e.expires_at from expiries e where e.expires_at > now() order by e.expires_at limit 1)) t;
    return greatest(1, least(1000, ceil(coalesce(extract(epoch from next_due - clock_timestamp()) * 1000, 1000))));
end
$$;
comment on function do_chores is 'What any worker has to do now and then.';
-- +goose StatementEnd

-- +goose StatementBegin
-- doctor(...): what an operator should know of, and how to repair it: one row per finding, none when all is well.
-- severity: critical (it does not work, or data is at risk), warning (it will not go well for long), info.
-- subject: the table, queue, session ... that it is about. meaning: what is so and what that leads to. repair: SQL or a command.
-- The arguments say from when on something is worth telling; null is the default. Other sessions are only seen with the rights
-- of pg_read_all_stats, of the schema's owner. Bounded in cost, but for statistics per table; changes and locks nothing.
-- Definitions of objects are compared by pgq-admin doctor, broken invariants are found by check_invariants.
-- roles: operator
create function doctor(
    long_transaction interval default null, old_job interval default null, late_chores interval default null,
    dead_rows bigint default null, bloat_bytes bigint default null, transaction_age bigint default null, frontier_rows integer default null,
    connections_share double precision default null, notify_share double precision default null,
    sequence_share double precision default null)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable security definer set search_path from current
as $$
    select d.*
    from (
        select * from doctor_server(
            coalesce(within('connections_share', connections_share, double precision '0', '1'), 0.8), coalesce(within('notify_share', notify_share, double precision '0', '1'), 0.25))
        union all select * from doctor_transactions(
            coalesce(within('long_transaction', long_transaction, interval '0', interval '1000 years'), interval '10 minutes'), coalesce(transaction_age, 1000000000))
        union all select * from doctor_tables(coalesce(dead_rows, 100000), coalesce(bloat_bytes, 268435456), coalesce(within('sequence_share', sequence_share, double precision '0', '1'), 0.5))
        union all select * from doctor_work(coalesce(within('old_job', old_job, interval '0', interval '1000 years'), interval '1 hour'),
                                           coalesce(within('late_chores', late_chores, interval '0', interval '1000 years'), interval '30 seconds'), coalesce(frontier_rows, 1000))
        union all select * from doctor_events(coalesce(old_job, interval '1 hour'))
        union all select * from doctor_rights()
        union all select * from doctor_grants()) d(finding, severity, subject, meaning, repair)
    order by array_position(array['critical', 'warning', 'info'], d.severity), d.finding, d.subject
$$;
comment on function doctor is 'What an operator should know of, with what repairs it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- doctor_events(late): consumers of events that fail, are behind, are forgotten, have lost events, or wait for what is not written, and events
-- of another server. late: for how long an event may be unread. Internal: doctor.
create function doctor_events(late interval)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
set jit = off set enable_seqscan = off
as $$
    with c as (
        select n.name, n.failures, n.error, n.keep, n.queues, n.types, n.lost_at, n.read_at, l.behind, l.exact, statement_timestamp() - l.oldest_at as lag,
               coalesce(n.read_at, n.created_at) < statement_timestamp() - interval '1 day' as forgotten
        from consumers n
        cross join lateral consumer_lag(n.name) l
    )
    select 'events_lost', 'critical', 'consumer ' || name,
           format('Events that it had not read were deleted, the last time at %s: they were older than its keep, %s.', to_char(lost_at, 'YYYY-MM-DD HH24:MI:SS TZ'), keep),
           format('run it, let it keep more (set_consumer), and when what was missed is made good: select %1$I.reset_consumer(%2$L, ''now''); or delete it: select %1$I.delete_consumer(%2$L);',
                  current_schema(), name)
    from c where lost_at is not null
    union all
    select 'consumer_fails', 'warning', 'consumer ' || name,
           format('The next event has failed %s times in a row, and those behind it wait: %s', failures, left(error, 200)),
           'mend its handler, or let it give up: Consumer.MaxFailures'
    from c where failures >= 3
    union all
    select 'consumer_forgotten', 'warning', 'consumer ' || name,
           format('Nobody has read for it for a day%s, and events are kept for it for up to %s. Run it, or delete it.', coalesce(', since ' || to_char(read_at, 'YYYY-MM-DD HH24:MI:SS TZ'), ''), keep),
           format('select %I.delete_consumer(%L);', current_schema(), name)
    from c where forgotten and lag > interval '1 day'
    union all
    select 'consumer_behind', 'warning', 'consumer ' || name,
           format('It has %s%s events to read, the oldest for %s: it is not running, or does not keep up.', case when exact then '' else 'at least ' end,
                  behind, date_trunc('second', lag)),
           'start it, take larger batches, or let its handlers do less'
    from c where lag > late and not (forgotten and lag > interval '1 day')
    union all
    select 'events_not_written', 'info', 'consumer ' || name,
           format('It waits for %s, which are written at level all, and no queue has that.', (select string_agg(t.type, ', ') from event_types() t where t.usual and t.type = any(c.types))),
           (select string_agg(format('select %I.set_queue(%L, events => ''all'');', current_schema(), q), ' ') from unnest(coalesce(c.queues, '{*}')) q)
    from c
    where types <@ array(select t.type from event_types() t where t.usual) and not exists (select from queues q where q.events = 'all')
    union all
    select 'events_of_another_server', 'critical', 'events',
           'They, or positions of consumers, were restored from a dump of another server, whose transactions are numbered otherwise: consumers may miss events.',
           format('select %I.adopt_events();', current_schema())
    -- Ahead by more than transactions that have begun since the snapshot can be.
    where exists (select from consumers n where n.to_xid::text::bigint > pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1000000)
       or exists (select from (select e.xid from events e order by e.id desc limit 1000) e where e.xid >= pg_snapshot_xmax(pg_current_snapshot()))
       or exists (select from (select e.xid from events e order by e.id limit 1000) e where e.xid >= pg_snapshot_xmax(pg_current_snapshot()))
$$;
comment on function doctor_events is 'Findings on events and their consumers.';
-- +goose StatementEnd

-- +goose StatementBegin
-- doctor_grants(): rights on tables, views, sequences and functions of roles that neither own the schema nor were granted a class, and rights on tables and sequences,
-- which no class gives, of those that were. Internal: doctor.
create function doctor_grants()
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
as $$
    with s as (
        select n.oid, n.nspname::text as name, n.nspowner from pg_namespace n where n.nspname = current_schema()
    ), held as (
        select c.relname::text as object, c.relkind in ('r', 'S', 'p') as is_data, c.relowner as owner, a.grantee, a.privilege_type as right
        from s join pg_class c on c.relnamespace = s.oid cross join lateral aclexplode(c.relacl) a
        where c.relkind in ('r', 'p', 'v', 'm', 'S')
        union all
        select c.relname, c.relkind in ('r', 'p'), c.relowner, a.grantee, a.privilege_type
        from s join pg_class c on c.relnamespace = s.oid join pg_attribute t on t.attrelid = c.oid and t.attacl is not null
        cross join lateral aclexplode(t.attacl) a
        where c.relkind in ('r', 'p', 'v', 'm')
        union all
        select p.proname, false, p.proowner, a.grantee, a.privilege_type
        from s join pg_proc p on p.pronamespace = s.oid cross join lateral aclexplode(p.proacl) a
    ), by_hand as (
        select h.grantee::regrole::text as role, g.granted, count(distinct h.object) as objects, min(h.object) as first,
               string_agg(distinct lower(h.right), ', ') as rights, bool_or(h.right = 'TRIGGER') as is_code
        from held h
        cross join s
        cross join lateral (select exists (select from grants g where g.role_id = h.grantee) as granted) g
        where h.grantee not in (0, h.owner, s.nspowner)
          and case when g.granted then h.is_data and not (h.object = 'schema_migrations' and h.right = 'SELECT') else true end
        group by h.grantee, g.granted
    )
    select 'rights_by_hand', case when b.is_code then 'critical' else 'warning' end, 'role ' || b.role,
           format('It has rights that no class gave to it, by hand or by default privileges (\ddp in psql): %s on %s objects (%s ...), past PGQ''s verbs.%s',
                  b.rights, b.objects, b.first, case when b.is_code then ' Its triggers on tables would act with the rights of the owner.' else '' end),
           case when b.granted then format('select %I.apply_grants();', s.name)
                else format('revoke all on all tables in schema %1$I from %2$s; revoke all on all sequences in schema %1$I from %2$s; revoke all on all functions in schema %1$I from %2$s;',
                            s.name, b.role) end
    from by_hand b cross join s
$$;
comment on function doctor_grants is 'Findings on rights that no class gave.';
-- +goose StatementEnd

-- +goose StatementBegin
-- doctor_rights(): rights that everybody has, objects of somebody else, extensions in the schema. Internal: doctor.
create function doctor_rights()
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
as $$
    with s as (
        select n.oid, n.nspname::text as name, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)) as acl
        from pg_namespace n where n.nspname = current_schema()
    )
    select 'public_may_use_schema', case a.privilege_type when 'CREATE' then 'critical' else 'warning' end, 'schema ' || s.name,
           case a.privilege_type when 'CREATE' then 'Every role may create objects in it: functions that are put there are called with the rights of PGQ''s owner.'
                else 'Every role may use it, and call what everybody may execute.' end,
           format('revoke %s on schema %I from public;', a.privilege_type, s.name)
    from s, aclexplode(s.acl) a where a.grantee = 0
    union all
    select 'others_may_create', 'critical', 'role ' || a.grantee::regrole,
           format('It may create objects in the schema, and with them act with the rights of its owner, %s.', s.nspowner::regrole),
           format('revoke create on schema %I from %s;', s.name, a.grantee::regrole)
    from s, aclexplode(s.acl) a
    where a.grantee not in (0, s.nspowner) and a.privilege_type = 'CREATE'
    union all
    select 'public_may_touch_table', 'warning', c.relname::text,
           format('Every role that may use the schema may %s it, past PGQ''s verbs.', string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)),
           format('revoke all on %I.%I from public;', s.name, c.relname)
    from s
    join pg_class c on c.relnamespace = s.oid
    cross join lateral aclexplode(c.relacl) a
    where a.grantee = 0 and c.relkind in ('r', 'v', 'S')
    group by s.name, c.relname
    union all
    select 'owners_differ', 'critical', format('%s of %s', count(*), o.relowner::regrole),
           format('Objects of the schema do not belong to its owner, %s (%s ...): each of both can act with the rights of the other, and functions may lack rights.',
                  s.nspowner::regrole, min(o.name)),
           -- Of a role that could act as the schema's owner anyhow they are PGQ's, migrated as another role; of others they are not.
           case when not (select r.rolsuper or pg_has_role(r.oid, s.nspowner, 'usage') from pg_roles r where r.oid = o.relowner)
                then string_agg(format('drop %s;', o.what), ' ' order by o.name)
                when count(*) > 20 then format('alter schema %I owner to %s;', s.name, o.relowner::regrole)
                else string_agg(format('alter %s owner to %s;', o.what, s.nspowner::regrole), ' ' order by o.name) end
    from s
    cross join lateral (
        select c.relname::text as name, c.relowner, format('%s %I.%I', case c.relkind when 'v' then 'view' else 'table' end, s.name, c.relname) as what
        from pg_class c where c.relnamespace = s.oid and c.relkind in ('r', 'v')
        union all select p.proname, p.proowner, format('routine %I.%I(%s)', s.name, p.proname, pg_get_function_identity_arguments(p.oid)) from pg_proc p where p.pronamespace = s.oid) o
    where o.relowner <> s.nspowner
    group by s.name, s.nspowner, o.relowner
    union all
    select 'extension_in_schema', 'warning', 'extension ' || e.extname,
           'It was installed into the schema of PGQ; its functions may be taken for PGQ''s, and removing PGQ leaves the schema.',
           format('alter extension %I set schema public;', e.extname)
    from s join pg_extension e on e.extnamespace = s.oid
$$;
comment on function doctor_rights is 'Findings on rights and foreign objects.';
-- +goose StatementEnd

-- +goose StatementBegin
-- doctor_server(connections_share, notify_share): settings of the server that cost data or speed, and how much is left of what it
-- has. Settings are those of this session, which may be the database's or the role's. Internal: doctor.
create function doctor_server(connections_share double precision, notify_share double precision)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
as $$
    with s as (
        select current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer as places,
               (select count(*) from pg_stat_activity where backend_type = 'client backend') as taken,
               pg_notification_queue_usage() as notify_used
    )
    select 'server_too_old', 'critical', 'PostgreSQL ' || current_setting('server_version'), 'PGQ needs PostgreSQL 15 or later.',
           'upgrade the server'
    where current_setting('server_version_num')::integer < 150000
    union all
    select 'encoding', 'warning', 'database ' || current_database(),
           format('It is in %s: characters that this does not have are refused, in names, args, results, errors. Programs in Go must set client_encoding to UTF8.', encoding),
           'take a database in UTF8: create database NAME encoding ''UTF8'' template template0; and carry the jobs over (pgq-admin export, import)'
    from current_setting('server_encoding') encoding
    where encoding <> 'UTF8'
    union all
    select 'read_only', 'critical', case when pg_is_in_recovery() then 'standby' else 'default_transaction_read_only' end,
           'Nothing can be enqueued, claimed or completed here.',
           case when pg_is_in_recovery() then 'connect to the primary: target_session_attrs=read-write in the URL'
                else 'begin read write; alter database ' || quote_ident(current_database()) || ' set default_transaction_read_only = off; commit;' end
    where pg_is_in_recovery() or current_setting('default_transaction_read_only')::boolean
    union all
    select 'fsync_off', 'critical', 'fsync', 'A crash of the server or its machine may destroy the database.',
           'alter system set fsync = on; select pg_reload_conf();'
    where not current_setting('fsync')::boolean
    union all
    select 'full_page_writes_off', 'critical', 'full_page_writes', 'A crash of the machine may destroy pages that were being written.',
           'alter system set full_page_writes = on; select pg_reload_conf();'
    where not current_setting('full_page_writes')::boolean
    union all
    select 'synchronous_commit_off', 'warning', 'synchronous_commit',
           'A crash may lose what was committed in the last moments: jobs that were enqueued are gone, and jobs that were completed run again.',
           'alter database ' || quote_ident(current_database()) || ' set synchronous_commit = on;'
    where current_setting('synchronous_commit') = 'off'
    union all
    select 'autovacuum_off', 'critical', name,
           'Dead rows are never removed: claims get slower with every job, and the tables grow without end.',
           'alter system set ' || name || ' = on; select pg_reload_conf();'
    from unnest(array['autovacuum', 'track_counts']) name
    where not current_setting(name)::boolean
    union all
    select 'isolation_level', 'warning', 'default_transaction_isolation',
           'Transactions are ' || current_setting('default_transaction_isolation') || ' by default: PGQ''s verbs are made for read committed and fail with serialization errors.',
           'alter database ' || quote_ident(current_database()) || ' set default_transaction_isolation = ''read committed'';'
    where current_setting('default_transaction_isolation') <> 'read committed'
    union all
    select 'idle_transactions_unlimited', 'info', 'idle_in_transaction_session_timeout',
           'A client that forgets to end its transaction keeps dead rows from being removed for as long as it lives.',
           'alter database ' || quote_ident(current_database()) || ' set idle_in_transaction_session_timeout = ''5min'';'
    where current_setting('idle_in_transaction_session_timeout') = '0'
    union all
    select 'short_statement_timeout', 'warning', 'statement_timeout',
           'Statements end after ' || current_setting('statement_timeout') || '; chores that have much to do are taken back again and again.',
           'alter database ' || quote_ident(current_database()) || ' set statement_timeout = ''1min'';'
    where (select setting::integer from pg_settings where name = 'statement_timeout') between 1 and 9999
    union all
    select 'jit_on', 'info', 'jit',
           'PGQ''s functions turn it off for themselves; queries of its views may be compiled for longer than they run.',
           'alter database ' || quote_ident(current_database()) || ' set jit = off;'
    where current_setting('jit')::boolean
    union all
    select 'connections_used_up', 'warning', 'max_connections',
           format('%s of %s connections are taken; workers and clients that come now or reconnect may be refused.', taken, places),
           'use a pooler, fewer connections per process, or: alter system set max_connections = ...; and restart the server'
    from s where taken >= places * connections_share
    union all
    select 'notify_queue', case when notify_used >= 0.9 then 'critical' else 'warning' end, 'NOTIFY',
           format('%s %% of the NOTIFY queue are in use: a session that listens has a transaction open. When it is full, commits that notify fail.',
                  round((notify_used * 100)::numeric, 1)),
           'select pid, usename, application_name, xact_start from pg_stat_activity where datname is not null and xact_start is not null order by xact_start limit 5; and end the oldest with pg_terminate_backend'
    from s where notify_used > 0 and notify_used >= notify_share
    union all
    select 'sessions_hidden', 'info', current_user,
           'Transactions of other roles are not seen: who keeps dead rows cannot be told.',
           format('grant pg_read_all_stats to %I;', current_user)
    where not pg_has_role(current_user, 'pg_read_all_stats', 'usage')
$$;
comment on function doctor_server is 'Findings on the settings and the room of the server.';
-- +goose StatementEnd

-- +goose StatementBegin
-- doctor_tables(dead_rows, bloat_bytes, sequence_share): tables that are not vacuumed in time or larger than what is in
-- them, indexes that are invalid, sequences that are behind or near their end, numbers near theirs. Internal: doctor.
create function doctor_tables(dead_rows bigint, bloat_bytes bigint, sequence_share double precision)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
as $$
    with t as (
        select c.oid, c.relname::text as name, format('%I.%I', n.nspname, c.relname) as full_name, c.reloptions,
               pg_total_relation_size(c.oid) as bytes, pg_stat_get_live_tuples(c.oid) as live, pg_stat_get_dead_tuples(c.oid) as dead,
               greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) as vacuumed_at
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relkind = 'r'
    ), q as (
        select s.seqrelid::regclass::text as name, s.seqmax, coalesce(pg_sequence_last_value(s.seqrelid), 0) as at, format('%I.%I', n.nspname, c.relname) as full_name
        from pg_sequence s
        join pg_class c on c.oid = s.seqrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema()
    ), ids (sequence, id) as (
        values ('jobs_id_seq', (select max(id) from jobs)), ('events_id_seq', (select max(id) from events)), ('logs_id_seq', (select max(id) from logs)),
               ('workers_id_seq', (select max(id) from workers)), ('subscribers_id_seq', (select max(id) from subscribers)),
               ('producers_id_seq', (select max(id) from producers))
    ), m as (
        select q.*, ids.sequence, ids.id from q join ids on q.name in (ids.sequence, format('%I.%I', current_schema(), ids.sequence))
    )
    select 'dead_rows', 'warning', name,
           format('%s dead rows beside %s live ones, vacuumed last %s: autovacuum does not keep up, or somebody keeps it from removing them.',
                  dead, live, coalesce(to_char(vacuumed_at, 'YYYY-MM-DD HH24:MI:SS TZ'), 'never')),
           format('vacuum (analyze, verbose) %s; and look for long transactions', full_name)
    from t where dead > dead_rows and dead > live / 5
    union all
    select 'bloat', 'warning', name,
           format('It takes %s for %s rows: it was much larger once, or was not vacuumed in time.', pg_size_pretty(bytes), live),
           format('vacuum full %s; which locks it meanwhile (stop the workers), or pg_repack', full_name)
    from t
    where name in ('ready', 'scheduled', 'running', 'waiting', 'frontier', 'edges', 'expiries', 'workers', 'progress', 'subscribers', 'chores')
      and bytes > bloat_bytes and bytes / (live + 1) > 2000
    union all
    select 'autovacuum_off', 'critical', name, 'Autovacuum is turned off for this table: dead rows are never removed.',
           format('alter table %s reset (autovacuum_enabled);', full_name)
    from t where exists (select from unnest(reloptions) o where o ~ '^autovacuum_enabled=(false|off|no|0|f|n)')
    union all
    select 'invalid_index', 'critical', x.relname,
           format('The index on %s is not valid: it is written but not used, or does not hold everything; it was left by a failed create or reindex.', t.name),
           format('reindex index concurrently %I.%I;', current_schema(), x.relname)
    from t
    join pg_index i on i.indrelid = t.oid
    join pg_class x on x.oid = i.indexrelid
    where not (i.indisvalid and i.indisready and i.indislive)
    union all
    select 'constraint_not_valid', 'warning', x.conname, format('The constraint on %s was not checked for the rows that are there.', t.name),
           format('alter table %s validate constraint %I;', t.full_name, x.conname)
    from t join pg_constraint x on x.conrelid = t.oid
    where not x.convalidated
    union all
    select 'sequence_room', case when at > seqmax * 0.9 then 'critical' else 'warning' end, name,
           format('It is at %s, and ends at %s: then nothing more can be written.', at, seqmax),
           case when last < seqmax * sequence_share then format('somebody set it by mistake, since no id is above %s: select setval(%L, %1$s);', last, full_name)
                else 'no id is free above: carry the jobs to an installation of their own (pgq-admin export jobs, import --ids new)' end
    from m
    -- The places in queues come from the sequence of jobs, too.
    cross join lateral (select greatest(id, case when sequence = 'jobs_id_seq' then (select max(seq) from ready) end, 1) as last offset 0) l
    where at > seqmax * sequence_share
    union all
    select 'sequence_behind', 'critical', name,
           format('It is at %s, and there is an id %s: what is written next fails, or gets an id that was given out before. The tables were restored without it.', at, id),
           format('select setval(%L, %s);', full_name, id)
    from m
    where id > at
    union all
    select 'attempts_used_up', 'critical', 'job ' || r.job_id, format('It has had %s attempts; there is no number for more than 2,147,483,647.', r.attempt),
           format('select * from %I.cancel(array[%s]);', current_schema(), r.job_id)
    from (select job_id, attempt from running limit 10000) r
    where r.attempt > 2000000000
$$;
comment on function doctor_tables is 'Findings on tables, indexes and sequences.';
-- +goose StatementEnd

-- +goose StatementBegin
-- doctor_transactions(long_transaction, transaction_age): who keeps dead rows from being removed (sessions, prepared transactions, replication
-- slots), and how far the database is from running out of transaction ids. Internal: doctor.
create function doctor_transactions(long_transaction interval, transaction_age bigint)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
as $$
    select 'long_transaction', 'warning', format('session %s', a.pid),
           format('Role %s (%s, %s) has had a transaction open for %s; rows that were deleted since then, %s transactions ago, cannot be removed, and claims get slower.',
                  coalesce(a.usename, '-'), coalesce(nullif(a.application_name, ''), 'no application_name'), coalesce(a.state, a.backend_type),
                  date_trunc('second', clock_timestamp() - a.xact_start), coalesce(age(coalesce(a.backend_xmin, a.backend_xid)), 0)),
           format('select pg_terminate_backend(%s);', a.pid)
    from pg_stat_activity a
    where a.xact_start < clock_timestamp() - long_transaction
      and a.pid <> pg_backend_pid()
      and (a.datname = current_database() or a.datname is null)
      and (a.backend_xmin is not null or a.backend_xid is not null)
      and a.backend_type <> 'autovacuum worker'
    union all
    select 'prepared_transaction', 'warning', 'transaction ' || p.gid,
           format('It was prepared %s ago by role %s and neither committed nor rolled back: its locks stay, and dead rows cannot be removed.',
                  date_trunc('second', clock_timestamp() - p.prepared), p.owner),
           format('commit prepared %L; or: rollback prepared %L;', p.gid, p.gid)
    from pg_prepared_xacts p
    where p.prepared < clock_timestamp() - long_transaction and p.database = current_database()
    union all
    select 'replication_slot', 'warning', 'slot ' || r.slot_name,
           format('Nobody reads from this %s slot: the server keeps all WAL since, until its disk is full%s.', r.slot_type,
                  coalesce(', and dead rows since ' || greatest(age(r.xmin), age(r.catalog_xmin)) || ' transactions ago', '')),
           format('start its reader, or: select pg_drop_replication_slot(%L);', r.slot_name)
    from pg_replication_slots r
    where not r.active and (r.restart_lsn is not null or r.xmin is not null or r.catalog_xmin is not null)
    union all
    select 'standby_holds_rows', 'warning', 'slot ' || r.slot_name,
           format('A standby with hot_standby_feedback runs a query that keeps dead rows since %s transactions ago.', age(r.xmin)),
           'end the oldest query on the standby'
    from pg_replication_slots r
    where r.active and age(r.xmin) > 1000000
    union all
    select 'transaction_ids', case when age(d.datfrozenxid) > 1800000000 then 'critical' else 'warning' end, 'database ' || d.datname,
           format('Its oldest rows are %s transactions old, and at 2,100 million PostgreSQL refuses to write: vacuum does not keep up, or somebody holds it off.',
                  age(d.datfrozenxid)),
           'vacuum (freeze); as superuser, after the transactions and slots told of above have been ended'
    from pg_database d
    where d.datname = current_database() and age(d.datfrozenxid) > transaction_age
$$;
comment on function doctor_transactions is 'Findings on who keeps dead rows from being removed.';
-- +goose StatementEnd

-- +goose StatementBegin
-- doctor_work(old_job, late_chores, frontier_rows): leases of workers that are gone, chores that nobody does, queues on which nothing
-- moves, the ten sequences that have stood still for longest, kinds that nobody knows. Looks at the heads of the queues only. Internal: doctor.
create function doctor_work(old_job interval, late_chores interval, frontier_rows integer)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
set jit = off set enable_seqscan = off
as $$
    with heads as (
        select q.name as queue, s.name is not null and s.paused_at is not null as paused, h.id, h.since,
               (select count(*) from workers w
                where w.dead_at is null and w.heartbeat_at > clock_timestamp() - w.lease and q.name = any(w.queues)) as workers
        from queue_names() q(name)
        left join queues s on s.name = q.name
        cross join lateral (
            -- By the place in the queue, not by age: a job that was retried is at the end.
            select j.id, j.created_at as since
            from generate_series(0, 9) p
            cross join lateral (select r.job_id from ready r where r.queue = q.name and r.priority = p order by r.seq limit 1) r
            join jobs j on j.id = r.job_id
            order by j.created_at limit 1) h
    ), chores_at as (
        select max(last_run_at) as last from chores where name in ('rescue', 'round')
    ), work as (
        select exists (select from ready) or exists (select from scheduled) or exists (select from running) or exists (select from frontier) as any
    )
    select 'expired_leases', 'warning', format('worker %s', w.id),
           format('%s jobs are leased to worker %s, which was heard of last %s ago%s: they run again once somebody does the chores.',
                  n.jobs, w.name, date_trunc('second', clock_timestamp() - w.heartbeat_at), case when w.dead_at is null then '' else ' and is dead' end),
           format('start a worker, or: select %I.rescue();', current_schema())
    from workers w
    cross join lateral (select count(*) as jobs from running r where r.worker_id = w.id) n
    where n.jobs > 0 and (w.dead_at is not null or w.heartbeat_at < clock_timestamp() - w.lease - interval '2 seconds')
    union all
    select 'leases_of_nobody', 'critical', format('worker %s', r.worker_id),
           format('%s jobs are leased to worker %s, which is not registered: they never run again by themselves.', count(*), r.worker_id),
           format('insert into %1$I.workers (id, name, queues, kinds, lease, dead_at) overriding system value values (%2$s, ''lost'', ''{}'', ''{}'', ''30 s'', now()); select %1$I.rescue();',
                  current_schema(), r.worker_id)
    from running r
    where not exists (select from workers w where w.id = r.worker_id)
    group by r.worker_id
    union all
    select 'chores_late', 'warning', 'chores',
           format('Nobody has done the chores %s: nothing delayed starts, no lease expires, nothing is pruned.',
                  case when c.last = '-infinity' then 'so far' else 'for ' || date_trunc('second', clock_timestamp() - c.last) end),
           format('start a worker, or let cron do it: select %I.do_chores();', current_schema())
    from chores_at c, work
    where c.last < clock_timestamp() - late_chores and work.any
    union all
    select 'due_jobs_late', 'warning', format('job %s', d.job_id),
           format('It was due %s ago and is still scheduled: the chores are not done, or do not keep up.', date_trunc('second', clock_timestamp() - d.run_at)),
           format('select %I.promote();', current_schema())
    from (select job_id, run_at from scheduled order by run_at limit 1) d
    where d.run_at < clock_timestamp() - late_chores
    union all
    select 'frontier_backlog', 'warning', 'frontier',
           format('%s ranges of nodes have yet to hear that their parents have ended (counted up to 10,000): DAGs go on late.', f.n),
           format('start a worker, or: select %I.propagate_frontier(); until it returns 0', current_schema())
    from (select count(*) as n from (select from frontier limit 10000) f) f
    where f.n > frontier_rows
    union all
    select 'no_worker', 'warning', 'queue ' || h.queue, 'It has jobs that may be claimed, and no living worker serves it.',
           format('start a worker with this queue, or move the jobs to one that has a worker: pgq-admin job move QUEUE --queue %s',
                  case when h.queue ~ '^[A-Za-z0-9_./-]+$' then h.queue else '''' || replace(h.queue, '''', '''\''''''') || '''' end)
    from heads h
    where h.workers = 0 and not h.paused
    union all
    select 'old_job', 'warning', 'queue ' || h.queue,
           format('Job %s has been there for %s and may be claimed%s.', h.id, date_trunc('second', clock_timestamp() - h.since),
                  case when h.paused then ', but the queue is paused' when h.workers = 0 then ', but no worker serves the queue'
                       else ': the workers do not keep up with what has higher priority or came before' end),
           case when h.paused then format('select %I.resume_queue(%L);', current_schema(), h.queue)
                else 'more workers, more concurrency, or see: pgq-admin job explain ' || h.id end
    from heads h
    where h.since < clock_timestamp() - old_job
    union all
    select 'sequence_stopped', 'warning', 'sequence ' || s.key,
           format('Job %s of it failed at %s; those behind it wait until that is retried and completes, or the sequence goes on without it.',
                  s.job_id, to_char(s.stopped_at, 'YYYY-MM-DD HH24:MI:SS TZ')),
           format('select %1$I.retry(''{%2$s}''); or, without that job: select %1$I.resume_sequence(%3$L);', current_schema(), s.job_id, s.key)
    from (select * from sequences where stopped_at is not null order by stopped_at limit 10) s
    union all
    select 'queue_paused', 'info', 'queue ' || q.name,
           format('It has been paused since %s%s%s; nothing of it is claimed.', to_char(q.paused_at, 'YYYY-MM-DD HH24:MI:SS TZ'), ' by ' || q.paused_by, ': ' || q.pause_reason),
           format('select %I.resume_queue(%L);', current_schema(), q.name)
    from queues q where q.paused_at is not null
    union all
    select 'unknown_kind', 'warning', format('kind %s of queue %s', u.kind, u.queue),
           'Jobs of this kind stay ready: no living worker of the queue knows it. The name is wrong, or a deployment is missing.',
           format('deploy a worker that handles it, or cancel them: select %1$I.cancel(array(select id from %1$I.job_states where queue = %2$L and kind = %3$L and state = ''ready'' limit 10000));',
                  current_schema(), u.queue, u.kind)
    from unknown_kinds(array(select h.queue from heads h where h.workers > 0)) u
$$;
comment on function doctor_work is 'Findings on leases, chores and queues.';
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
    with recursive failed as materialized (
        select f.job_id as id, f.dag_id
        from results f
        where f.job_id = any(job_ids)
          and (f.state in ('failed', 'cancelled', 'expired') or f.state = 'skipped' and f.cause_id is not null)
    ), failing as (
        select f.id, f.dag_id
        from (select distinct dag_id from failed) d
        cross join lateral (select spec from jobs where jobs.id = d.dag_id offset 0) j
        join failed f on f.dag_id = d.dag_id
        where j.spec ->> 'on_failure' = 'cancel'
          and exists (select from waiting w where w.job_id = d.dag_id and w.ending is null offset 0)
        union
        select c.id, f.dag_id
        from failing f
        join edges e on e.parent_id = f.id and not e.soft
        cross join lateral (select id, dag_id, role, rule from jobs where jobs.id = e.child_id offset 0) c
        where coalesce(c.dag_id, c.id) = f.dag_id
          and (c.role = 'dag' or c.rule in ('all', 'none_failed', 'join') and not is_item(f.id, c.id))
          and not exists (select from results r where r.job_id = c.id and r.state = 'completed' offset 0)
    )
    select distinct dag_id from failing where id = dag_id
$$;
comment on function doomed_dags is 'DAGs that fail fast and will have failed.';
-- +goose StatementEnd

-- +goose StatementBegin
-- drop_gate(scope, name): takes away the gate of a queue, kind or group that has neither a limit nor a pause. Internal: resume_limit, set_limit, delete_limit. Locks: its row.
create function drop_gate(scope text, name text) returns void
language sql
as $$
    delete from gates g
    where g.scope = drop_gate.scope and g.name = drop_gate.name and coalesce(g.paused_until, '-infinity') <= clock_timestamp()
      and not exists (
          select from limits l where l.scope = g.scope and l.name = g.name
          union all
          select from limit_of(g.name) where g.scope = 'group')
$$;
comment on function drop_gate is 'Takes away the gate of what has neither a limit nor a pause.';
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
-- A job whose cancellation was asked for is cancelled whatever the verdict; its error begins with why that was.
-- Returns the jobs that were ended and where they are now: ready, scheduled, failed or cancelled.
-- A missing job: its lease is lost; nothing was changed for it.
-- Failed attempts count for circuit breakers, but not those whose worker died.
-- Why attempts failed is kept in attempt_errors, the last 100 of a job.
-- Locks: rows of running in the order of their ids; then what propagate and advance_sequences lock.
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
        select g.*, verdicts[place] as verdict, delays[place] as delay, left(nullif(concat_ws(': ', g.cancel_reason, errors[place]), ''), 20000) as error, errors[place] as own_error,
               details[place] as detail
        from gone g
    ), judged as materialized (
        select e.job_id, e.queue, e.attempt, e.claimed_at, e.result_ttl, e.dag_id, e.verdict, e.error, left(e.own_error, 20000) as own_error, e.detail, e.slotted,
               j.kind, j.priority, j.spec -> 'callbacks' as callbacks,
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
        left join lateral (select backoff from kinds where kinds.name = j.kind offset 0) k on true
        cross join lateral (
            select case e.verdict
                when 'release' then interval '0'
                when 'snooze' then e.delay
                else greatest(interval '0', coalesce(e.delay, backoff_delay(coalesce(j.backoff, k.backoff, s.backoff), e.attempt)))
            end as delay) due
    ), again as (
        insert into ready (queue, priority, seq, job_id, attempt, kind, since)
        select queue, priority, nextval('jobs_id_seq'), job_id, counted, kind, now
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
    ), kept as (
        insert into attempt_errors (job_id, attempt, worker_id, at, outcome, run_at, error, stack)
        select job_id, attempt, end_attempts.worker_id, now, outcome, case when outcome = 'scheduled' then run_at end, own_error,
               left(detail ->> 'stack', 20000)
        from judged
        where verdict in ('retry', 'fail')
        on conflict do nothing
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
           array_agg(job_id) filter (where outcome in ('failed', 'cancelled') and callbacks ? 'on_failure') as failing,
           array_agg(job_id) filter (where outcome in ('ready', 'scheduled') and verdict = 'retry' and callbacks ? 'on_retry') as retried,
           array_agg(job_id) filter (where outcome in ('failed', 'cancelled')) as finished,
           array_agg(job_id) filter (where attempt > 100) as old,
           array_agg(job_id) filter (where slotted) as slotted,
           array_agg(job_id) filter (where struck) as struck,
           array_agg(attempt) filter (where struck) as struck_attempts
    into done
    from (select *, verdict in ('retry', 'fail') and outcome <> 'cancelled' and not coalesce(detail ? 'lease_lost', false) as struck
          from judged) j;
    if done.slotted is not null then
        perform free_slots(done.slotted);
    end if;
    if done.struck is not null and exists (select from limits l where l.break_after is not null) then
        perform add_strikes(done.struck, done.struck_attempts);
    end if;
    if done.failing is not null then
        perform call_back(done.failing, 'on_failure');
    end if;
    if done.retried is not null then
        perform call_back(done.retried, 'on_retry');
    end if;
    if done.old is not null then
        delete from attempt_errors where ctid = any(array(
            select e.tid
            from unnest(ids, numbers) u(id, attempt)
            cross join lateral (
                select x.ctid as tid from attempt_errors x where x.job_id = u.id and x.attempt <= u.attempt - 100 offset 0) e
            where u.id = any(done.old)));
    end if;
    if exists (select from edges e where e.parent_id = any(done.finished)) then
        perform doom_dags(done.finished);
        perform propagate(done.finished);
    end if;
    if exists (select from sequences s where s.job_id = any(done.finished)) then
        perform advance_sequences(done.finished);
    end if;
    return query select id, o from unnest(done.ids, done.outcomes) u(id, o);
    woken := array(select distinct r.queue from ready_again(job_ids) r);
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
-- ended_near(tops, since): jobs that ended since that time, per minute, queue and state, in the ranges of ids below each of
-- tops (rising) and above the one before. 10,000 results right below the tops are counted; from there on 300 random ids, together, in
-- ranges of 5,000, 10,000, 20,000 ... stand for the others, until none of them ended since. Internal: ended_per_minute.
create function ended_near(tops bigint[], since timestamptz)
returns table (minute timestamptz, queue text, state text, jobs double precision)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    counted constant integer := 10000 / greatest(1, cardinality(tops));
    probes constant integer := greatest(15, 300 / greatest(1, cardinality(tops)));
    bottom bigint := 0;
    low bigint;
    high bigint;
    width bigint;
begin
    for i in 1 .. cardinality(tops) loop
        return query
            select date_trunc('minute', f.finished_at), f.queue, f.state, count(*)::double precision
            from (select * from results where job_id <= tops[i] and job_id > bottom order by job_id desc limit counted) f
            where f.finished_at >= since
            group by 1, 2, 3;
        select f.job_id - 1 into high
        from results f where f.job_id <= tops[i] and f.job_id > bottom order by f.job_id desc offset counted - 1 limit 1;
        width := 5000;
        while high > bottom loop
            low := greatest(bottom, high - width);
            return query
                select date_trunc('minute', f.finished_at), f.queue, f.state, count(*) * (high - low)::double precision / probes
                from (select low + 1 + floor((high - low) * (n + random()) / probes)::bigint as id
                      from generate_series(0, probes - 1) n offset 0) p
                cross join lateral (select * from results where job_id = p.id offset 0) f
                where f.finished_at >= since
                group by 1, 2, 3;
            exit when not found;
            high := low;
            width := width * 2;
        end loop;
        bottom := tops[i];
    end loop;
end
$$;
comment on function ended_near is 'Jobs that ended since a time, looked for below ids.';
-- +goose StatementEnd

-- +goose StatementBegin
-- ended_per_minute(span): how many jobs ended, per minute and queue, from the beginning of the minute that was span ago
-- until now, which makes the last minute an incomplete one. Minutes and queues in which none ended are left out.
--
-- results has no index by time (every completed job would pay for it), so a small table is read as a whole. Of a large one
-- exact is false. What did not complete is found by its index by time, the newest 10,000. Completed jobs are looked for where jobs
-- end: below the ids that run, that are next to be claimed, or that ended last (ended_near). The first 10,000 there are counted,
-- those further down estimated from random ids, fewer and fewer of them; jobs that ended far from where others do may be missing.
-- So the cost does not grow with the number of jobs. Raises PQ001 unless span is 1 minute to 7 days. Locks nothing.
-- roles: operator, reader
create function ended_per_minute(span interval default '1 hour')
returns table (
    minute timestamptz, queue text, completed bigint, failed bigint, cancelled bigint, skipped bigint, expired bigint,
    exact boolean)
language plpgsql stable security definer set search_path from current
set jit = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    small constant boolean := pg_relation_size('results') <= 300 * 8192;
    since constant timestamptz := date_trunc('minute', statement_timestamp() - greatest(interval '0', least(span, interval '7 days')));
    names constant text[] := case when small then '{}' else array(select n from queue_names() n) end;
    most constant integer := greatest(50, 10000 / greatest(1, 8 * cardinality(names)));
begin
    if span is null or span not between interval '1 minute' and interval '7 days' then
        perform invalid('span', 'must be 1 minute to 7 days');
    end if;
    return query
        with others as materialized (
            select n.queue, s.state, b.finished_at, count(*) over (partition by n.queue, s.state, d.nodes) >= most as cut_off
            from unnest(names) n(queue), unnest(array['failed', 'cancelled', 'skipped', 'expired']) s(state),
                 unnest(array[false, true]) d(nodes),
                 lateral (
                     (select f.finished_at from results f
                      where not d.nodes and f.queue = n.queue and f.state = s.state and f.finished_at >= since
                        and f.state <> 'completed' and f.dag_id is null
                      order by f.finished_at desc limit most)
                     union all
                     (select f.finished_at from results f
                      where d.nodes and f.queue = n.queue and f.state = s.state and f.finished_at >= since
                        and f.state <> 'completed' and f.dag_id is not null
                      order by f.finished_at desc limit most)) b
        ), cuts as materialized (
            select o.queue, o.state, min(o.finished_at) as cut from others o where o.cut_off group by 1, 2
        ), found as (
            select date_trunc('minute', f.finished_at) as minute, f.queue, f.state, count(*)::double precision as jobs
            from results f
            where small and f.finished_at >= since
            group by 1, 2, 3
            union all
            select date_trunc('minute', o.finished_at), o.queue, o.state, count(*)
            from others o
            group by 1, 2, 3
            union all
            -- Of what did not complete only what the index look-up left out.
            select e.minute, e.queue, e.state, e.jobs
            from ended_near(case when small then '{}' else ended_places(names, since) end, since) e
            left join cuts c on c.queue = e.queue and c.state = e.state
            where e.state = 'completed' or e.minute < date_trunc('minute', c.cut)
        )
        select f.minute, f.queue,
               coalesce(round(sum(f.jobs) filter (where f.state = 'completed')), 0)::bigint,
               coalesce(round(sum(f.jobs) filter (where f.state = 'failed')), 0)::bigint,
               coalesce(round(sum(f.jobs) filter (where f.state = 'cancelled')), 0)::bigint,
               coalesce(round(sum(f.jobs) filter (where f.state = 'skipped')), 0)::bigint,
               coalesce(round(sum(f.jobs) filter (where f.state = 'expired')), 0)::bigint,
               small
        from found f
        group by f.minute, f.queue
        order by f.minute desc, f.queue;
end
$$;
comment on function ended_per_minute is 'Jobs that ended, per minute and queue, for as far back as span says.';
-- +goose StatementEnd

-- +goose StatementBegin
-- ended_places(names, since): ids below which jobs end at the moment, or have ended since that time, in rising order: the last one
-- that ended, those next to the ones that run or are next to be claimed in the queues of these names, and where 100 random
-- ids find that a job has ended since. Each is the id of a result. Internal: ended_per_minute.
create function ended_places(names text[], since timestamptz) returns bigint[]
language sql stable
as $$
    with last as materialized (
        select coalesce((select f.job_id from results f order by f.job_id desc limit 1), 0) as id
    ), probes as materialized (
        select p.top, coalesce(p.finished_at >= since, false) as fresh,
               coalesce(lead(p.finished_at) over (order by p.top) >= since, false) as next_fresh
        from (
            select s.top, (select f.finished_at from results f where f.job_id <= s.id order by f.job_id desc limit 1) as finished_at
            from (select l.id * n / 100 as top, (l.id * (n - random()) / 100)::bigint as id
                  from last l, generate_series(1, 100) n offset 0) s) p
    ), hints as (
        select id from last
        union all
        select max(r.job_id) from running r group by r.queue
        union all
        select h.seq
        from unnest(names) n(queue), generate_series(0, 9) p,
             lateral (select r.seq from ready r where r.queue = n.queue and r.priority = p order by r.seq limit 1) h
        union all
        select top from probes where fresh and not next_fresh
    ), places as (
        select distinct (select f.job_id from results f where f.job_id <= h.id order by f.job_id desc limit 1) as id
        from hints h
    )
    select coalesce(array_agg(id order by id), '{}')
    from (select id from places where id is not null order by id desc limit 50) p
$$;
comment on function ended_places is 'Ids below which jobs end at the moment.';
-- +goose StatementEnd

-- +goose StatementBegin
-- enqueue(kind, args, ...): adds a job in the caller's transaction and returns its id.
--
--   select pgq.enqueue('send_mail', '{"to": 1}', queue => 'mail', delay => '5 min');
--
-- queue, priority 0 (soonest) to 9, delay or run_at, max_attempts, timeout, backoff (see backoff_problem),
-- tags, metadata (an object), ttl (expires unless started by then), result_ttl (how long the result is
-- kept), codec and payload (bytes instead of JSON args), wake_workers (false: leave it to polling), uniqueness (see
-- unique_problem: where an earlier job bars this one its id is returned; enqueue_jobs tells which it was), group_name (the group with
-- which it shares limits and takes turns, see set_limit), sequence (jobs with the same one run one after
-- the other) and on_failure (what becomes of those behind it if it fails for good: stop, the default, skip or
-- continue), callbacks (jobs to be enqueued when it has succeeded, failed for good or is retried: {"on_failure": {"kind": "alarm"}}, see call_back).
-- Raises PQ001 for a field that breaks a rule, PQ002 for a full queue, 42501 for a producer that may
-- not enqueue into it; a warning past the warning depth.
-- roles: producer
create function enqueue(
    kind text, args jsonb default null, queue text default 'default', priority integer default 5,
    delay interval default null, run_at timestamptz default null, max_attempts integer default null,
    timeout interval default null, backoff jsonb default null, tags text[] default null,
    metadata jsonb default null, ttl interval default null, result_ttl interval default null,
    codec text default null, payload bytea default null, wake_workers boolean default true,
    uniqueness jsonb default null, group_name text default null, sequence text default null, on_failure text default null, callbacks jsonb default null
) returns bigint
language plpgsql security definer set search_path from current
as $$
declare
    added record;
begin
    if uniqueness is not null or group_name is not null or sequence is not null or on_failure is not null
       or callbacks is not null then
        return enqueue_special(kind, args, queue, priority, delay, run_at, max_attempts, timeout,
            backoff, tags, metadata, ttl, result_ttl, codec, payload, wake_workers, uniqueness, group_name, sequence, on_failure,
            callbacks);
    end if;
    added := enqueue_one(kind, args, queue, priority, delay, run_at, max_attempts, timeout,
        backoff, tags, metadata, ttl, result_ttl, codec, payload, wake_workers);
    if added.near_limit then
        raise warning using
            errcode = 'PQ002',
            message = format('queue %s is past its warning depth', to_json(queue));
    end if;
    return added.job_id;
end
$$;
comment on function enqueue is 'Adds a job in the caller''s transaction and returns its id. delay or run_at: not before; priority: 0 (soonest) to 9; ttl: expires unless started by then; result_ttl: how long its result is kept; backoff: pauses between attempts as JSON; codec and payload: bytes in place of JSON args; wake_workers: false leaves it to polling; uniqueness: not if there is one like it; group_name: whose limits and turns it shares; sequence: runs after those enqueued with the same one before; on_failure: what becomes of those behind it: stop, skip or continue; callbacks: what is enqueued when it succeeds, fails or is retried.';
-- +goose StatementEnd

-- +goose StatementBegin
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
-- +goose StatementEnd

-- +goose StatementBegin
-- enqueue_many(jobs): adds an array of jobs, [{"kind": ..., "args": ..., "queue": ...}, ...], with the fields
-- of enqueue (payload as base64), all or none; their ids in the order of the array.
--
--   select pgq.enqueue_many('[{"kind": "send_mail", "args": {"to": 1}}, {"kind": "tidy"}]');
--
-- Raises PQ001 with the index and field of the first job that breaks a rule, PQ002 for a full queue, 42501
-- for producers that may not enqueue into one of the queues.
-- A job that is to be unique gives the id of the one that is there already; see enqueue_jobs, which says so.
-- Jobs of one array that are alike in queue, priority and kind share ready rows (runs).
-- roles: producer
create function enqueue_many(jobs jsonb, wake_workers boolean default true) returns setof bigint
language plpgsql security definer set search_path from current
as $$
begin
    return query select j.job_id from enqueue_jobs(enqueue_many.jobs, wake_workers) j;
end
$$;
comment on function enqueue_many is 'Adds an array of jobs, [{"kind": ..., "args": ..., "queue": ...}, ...] with the fields of enqueue, all or none; returns their ids in order.';
-- +goose StatementEnd

-- +goose StatementBegin
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
-- +goose StatementEnd

-- +goose StatementBegin
-- enqueue_reserve(queue_names, counts): prepares a bulk enqueue by COPY: refuses to overfill queues (PQ002), and
-- draws as many job ids as counts add up to: first_id and those after it, or, when others drew some in between, the
-- rising ids. Also the time from which delays count, and whether somebody wants the events of the jobs. The caller
-- then copies into jobs, ready, scheduled and expiries in the same transaction and ends with announce.
-- Null at: the caller is no owner of the schema, has no right to do that and uses enqueue_many. Internal: the Go client's EnqueueMany.
-- roles: producer
create function enqueue_reserve(
    queue_names text[], counts bigint[],
    out first_id bigint, out ids bigint[], out at timestamptz, out loud boolean
)
language plpgsql security definer set search_path from current
as $$
begin
    if not is_owner(caller()) then
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
-- enqueue_special(...): what enqueue does with a job that has a group or callbacks, is to be unique or is in a sequence. Internal.
create function enqueue_special(
    kind text, args jsonb, queue text, priority integer, delay interval, run_at timestamptz, max_attempts integer, timeout interval,
    backoff jsonb, tags text[], metadata jsonb, ttl interval, result_ttl interval, codec text, payload bytea,
    wake_workers boolean, uniqueness jsonb, group_name text, sequence text, on_failure text, callbacks jsonb)
returns bigint
language plpgsql
as $$
#variable_conflict use_variable
declare
    problem constant text[] := coalesce(
        job_problem(kind, queue, priority, delay, run_at, max_attempts, timeout, backoff, tags, metadata, ttl, result_ttl,
                    codec, payload, args),
        case when uniqueness is not null then unique_problem(uniqueness) end,
        group_problem(group_name), sequence_problem(sequence, on_failure, uniqueness));
begin
    perform check_producer(queues_named(jsonb_build_array(jsonb_build_object('callbacks', callbacks)), coalesce(queue, 'default')));
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
    perform check_callbacks_object('callbacks', callbacks);
    return (select j.job_id from enqueue_jobs(jsonb_build_array(
        jsonb_strip_nulls(jsonb_build_object(
            'kind', kind, 'queue', queue, 'priority', priority, 'delay', delay, 'run_at', run_at, 'max_attempts', max_attempts,
            'timeout', timeout, 'tags', tags, 'ttl', ttl, 'result_ttl', result_ttl, 'codec', codec, 'group', group_name,
            'payload', encode(payload, 'base64'), 'sequence', sequence, 'on_failure', on_failure))
        || jsonb_build_object('args', args, 'backoff', backoff, 'metadata', metadata, 'unique', uniqueness,
                              'callbacks', callbacks)), wake_workers) j);
end
$$;
comment on function enqueue_special is 'Adds a job that has a group or callbacks, is to be unique or is in a sequence.';
-- +goose StatementEnd

-- +goose StatementBegin
-- enqueue_trigger(options ...): a trigger that enqueues a job for each row that a statement inserts, updates or deletes, in the
-- transaction that does so. For WHEN it runs or not is PostgreSQL's own business: after insert or update of total ... when (...).
--
--   create trigger placed after insert on orders for each row
--   execute function pgq.enqueue_trigger('kind=order_placed', 'queue=mail', 'columns=id,total');
--
-- Options are texts, name=value: kind (must be given), columns (of which args are made; all of them by default; names with
-- commas or spaces in double quotes), args (row: the row as it is now, the default; change: {"op", "old", "new"}), condition (see below), and those of
-- enqueue: queue, priority, delay, max_attempts, timeout, ttl, result_ttl, tags (with commas in between), metadata (a JSON object), group, sequence,
-- on_failure, and unique_key (the key of its uniqueness). In group, sequence and unique_key {column} stands for what the row has there, which must be
-- one of columns: 'group=tenant/{tenant_id}'. Numbers keep all their digits.
--
-- condition is an expression in SQL, of which a job is made only where it is true: 'condition=total > 0'. Names are those of all columns of the row as
-- it is now, with args=change old.total and new.total; where there is no such row they are null. Functions, types and tables besides PostgreSQL's are named with
-- their schemas. It runs with the rights of whoever changes the row, as any function that is put into a trigger by those who may make one: the table's
-- owner, and who has TRIGGER on it. when (...) of a trigger for each row costs less.
--
-- for each statement, with transition tables of whatever names, the rows of a statement are enqueued together, which is much cheaper:
--
--   create trigger placed after insert on orders referencing new table as placed for each statement execute function ...
--
-- Old and new rows of an update are then brought together by the primary key; where that changed, either is null.
-- Raises PQ001 with the option as the field when one cannot be used, and what enqueue raises. Has the rights of whoever changes
-- the row, who must be allowed to enqueue: what makes JSON of columns may call casts that users made.
-- roles: producer
create function enqueue_trigger() returns trigger
language plpgsql set search_path from current
as $$
declare
    known constant text[] := array['kind', 'columns', 'args', 'condition', 'queue', 'priority', 'delay', 'max_attempts', 'timeout', 'ttl',
                                   'result_ttl', 'tags', 'metadata', 'group', 'sequence', 'on_failure', 'unique_key'];
    made constant text[] := array['group', 'sequence', 'unique_key']; -- of what the row has
    given jsonb := '{}';  -- options by name, as texts
    option text;
    value text;
    field text;           -- what cannot be used
    rule text;            -- and why
    help text;
    columns text[];
    names jsonb;          -- what is made of the row, by option
    wide boolean;         -- args are changes
    filter text;          -- the condition as a clause
    wanted boolean := true;
    old_row jsonb;
    new_row jsonb;
    old_table text;
    new_table text;
    old_json text;
    new_json text;
    nothing text;         -- the row that an insert or delete does not have
    source text;          -- the statement that reads the rows
    rows refcursor;
    entry jsonb;
    batch jsonb[] := '{}';
begin
    for i in 0 .. TG_NARGS - 1 loop
        option := btrim(split_part(TG_ARGV[i], '=', 1));
        value := btrim(substr(TG_ARGV[i], strpos(TG_ARGV[i], '=') + 1));
        if strpos(TG_ARGV[i], '=') = 0 then
            field := option;
            rule := 'must be given as name=value';
        elsif option <> all(known) then
            field := option;
            rule := format('is not an option of enqueue_trigger, which are %s', array_to_string(known, ', '));
        elsif given ? option then
            field := option;
            rule := 'must be given once';
        elsif value = '' then
            field := option;
            rule := 'must not be empty';
        elsif option in ('priority', 'max_attempts') and value !~ '^[0-9]{1,9}$' then
            field := option;
            rule := 'must be a whole number';
        elsif option = 'args' and value not in ('row', 'change') then
            field := option;
            rule := 'must be row or change';
        elsif option in ('delay', 'timeout', 'ttl', 'result_ttl', 'metadata') then
            begin
                if option = 'metadata' then
                    perform value::jsonb;
                else
                    perform value::interval;
                end if;
            exception when data_exception then
                field := option;
                rule := 'cannot be read as ' || case option when 'metadata' then 'JSON' else 'interval' end;
            end;
        end if;
        exit when field is not null;
        given := given || jsonb_build_object(option, value);
    end loop;
    columns := array(
        select coalesce(replace(m[1], '""', '"'), btrim(m[2]))
        from regexp_matches(given ->> 'columns', '"((?:[^"]|"")+)"|([^,"]*[^,"[:space:]][^,"]*)', 'g') m);
    wide := given ->> 'args' is not distinct from 'change';
    filter := coalesce(E' where (' || (given ->> 'condition') || E'\n)', '');
    if field is null then
        if TG_WHEN <> 'AFTER' or TG_OP not in ('INSERT', 'UPDATE', 'DELETE') then
            field := TG_NAME;
            rule := 'must be a trigger after insert, update or delete';
        elsif not given ? 'kind' then
            field := 'kind';
            rule := 'must be given';
        elsif columns <> '{}' then
            select 'columns', format('names %s, which %s.%s does not have', to_json(c), TG_TABLE_SCHEMA, TG_TABLE_NAME) into field, rule
            from unnest(columns) c
            where not exists (select from pg_catalog.pg_attribute a
                              where a.attrelid = TG_RELID and a.attname = c and a.attnum > 0 and not a.attisdropped)
            limit 1;
        end if;
    end if;
    if field is null then
        select o.option, format('names %s, which is not one of its columns', to_json(m[1])) into field, rule
        from unnest(made) o(option)
        cross join lateral regexp_matches(given ->> o.option, '\{([^{}]*)\}', 'g') m
        where case when columns <> '{}' then m[1] <> all(columns)
                   else not exists (select from pg_catalog.pg_attribute a
                                    where a.attrelid = TG_RELID and a.attname = m[1] and a.attnum > 0 and not a.attisdropped) end
        limit 1;
    end if;
    nothing := format('(select (null::%s).*)', TG_RELID::regclass);

    if field is null and filter <> '' and TG_LEVEL = 'ROW' then
        source := 'select true from ' || case
            when wide then format('%s old cross join %s new', case TG_OP when 'INSERT' then nothing else '(select ($1).*)' end,
                                  case TG_OP when 'DELETE' then nothing else '(select ($2).*)' end)
            when TG_OP = 'DELETE' then '(select ($1).*) old'
            else '(select ($2).*) new' end || filter;
        begin
            execute source into wanted using old, new;
        exception when data_exception or syntax_error_or_access_rule_violation or cardinality_violation or feature_not_supported then
            field := 'condition';
            rule := 'cannot be evaluated: ' || sqlerrm;
        end;
    end if;

    if field is null and TG_LEVEL = 'STATEMENT' then
        -- The rows, as old_row and new_row.
        select t.tgoldtable, t.tgnewtable into old_table, new_table
        from pg_catalog.pg_trigger t
        where t.tgrelid = TG_RELID and t.tgname = TG_NAME;
        old_json := coalesce((select format('(select to_jsonb(r.*) from (select %s) r)', string_agg(format('old.%I', c), ', ' order by p))
                              from unnest(columns) with ordinality u(c, p) having count(*) > 0), 'to_jsonb(old.*)');
        new_json := coalesce((select format('(select to_jsonb(r.*) from (select %s) r)', string_agg(format('new.%I', c), ', ' order by p))
                              from unnest(columns) with ordinality u(c, p) having count(*) > 0), 'to_jsonb(new.*)');
        if TG_OP = 'UPDATE' and wide then
            source := (
                select format('select case when old.%1$I is not null then %2$s end, case when new.%1$I is not null then %3$s end '
                              'from %4$I old full join %5$I new on %6$s',
                              min(a.attname), old_json, new_json, old_table, new_table,
                              string_agg(format('new.%1$I = old.%1$I', a.attname), ' and '))
                from pg_catalog.pg_index i
                join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
                where i.indrelid = TG_RELID and i.indisprimary and old_table is not null and new_table is not null
                having count(*) > 0);
        elsif TG_OP = 'DELETE' and old_table is not null then
            source := format('select %s, null::jsonb from %I old', old_json, old_table) || case when wide and filter <> '' then format(' cross join %s new', nothing) else '' end;
        elsif TG_OP <> 'DELETE' and new_table is not null then
            source := format('select null::jsonb, %s from %I new', new_json, new_table) || case when wide and filter <> '' then format(' cross join %s old', nothing) else '' end;
        end if;
        if source is null then
            field := TG_NAME;
            rule := 'must have transition tables of the rows'
                || case when TG_OP = 'UPDATE' and wide then ', the old and the new, and the table a primary key' else '' end;
            help := 'Create it with "referencing old table as ... new table as ...", or for each row.';
        else
            begin
                open rows for execute source || filter;
            exception when data_exception or syntax_error_or_access_rule_violation or cardinality_violation or feature_not_supported then
                if filter = '' then
                    raise;
                end if;
                field := 'condition';
                rule := 'cannot be evaluated: ' || sqlerrm;
            end;
        end if;
        entry := (given - '{columns,args,condition,unique_key}'::text[])
            || case when given ? 'tags' then jsonb_build_object('tags', to_jsonb(regexp_split_to_array(given ->> 'tags', '\s*,\s*'))) else '{}' end
            || case when given ? 'metadata' then jsonb_build_object('metadata', (given ->> 'metadata')::jsonb) else '{}' end;
    end if;
    while field is null and TG_LEVEL = 'STATEMENT' loop
        batch := '{}';
        begin
            while cardinality(batch) < 10000 loop
                fetch rows into old_row, new_row;
                exit when not found;
                names := (
                    select jsonb_object_agg(o.option, (
                        select string_agg(case when m[1] ~ '^\{.+\}$' then coalesce(coalesce(new_row, old_row) ->> btrim(m[1], '{}'), '') else m[1] end, '' order by n)
                        from regexp_matches(given ->> o.option, '\{[^{}]*\}|[^{}]+|[{}]', 'g') with ordinality r(m, n)))
                    from unnest(made) o(option)
                    where given ? o.option);
                if names ? 'unique_key' then
                    names := names - 'unique_key' || jsonb_build_object('unique', jsonb_build_object('key', names -> 'unique_key'));
                end if;
                batch := array_append(batch, entry || coalesce(names, '{}') || jsonb_build_object('args', case
                    when wide then jsonb_build_object('op', lower(TG_OP), 'old', old_row, 'new', new_row)
                    else coalesce(new_row, old_row) end));
            end loop;
        exception when data_exception or syntax_error_or_access_rule_violation or cardinality_violation then
            if filter = '' then
                raise;
            end if;
            field := 'condition';
            rule := 'cannot be evaluated: ' || sqlerrm;
            exit;
        end;
        if batch <> '{}' then
            perform enqueue_many(to_jsonb(batch)); -- outside, since its errors are not the condition's
        end if;
        if cardinality(batch) < 10000 then
            close rows;
            exit;
        end if;
    end loop;
    if field is not null then
        raise exception using
            errcode = 'PQ001',
            message = format('%s %s', field, rule),
            column = field,
            detail = rule,
            hint = coalesce(help, format('See trigger %s of %s.%s.', to_json(TG_NAME), TG_TABLE_SCHEMA, TG_TABLE_NAME));
    end if;
    if TG_LEVEL = 'STATEMENT' or wanted is not true then
        return null;
    end if;

    if wide or TG_OP = 'DELETE' then
        old_row := case when TG_OP <> 'INSERT' then to_jsonb(old) end;
    end if;
    new_row := case when TG_OP <> 'DELETE' then to_jsonb(new) end;
    if columns <> '{}' then
        old_row := case when old_row is not null then (select jsonb_object_agg(c, old_row -> c) from unnest(columns) c) end;
        new_row := case when new_row is not null then (select jsonb_object_agg(c, new_row -> c) from unnest(columns) c) end;
    end if;
    names := (
        select jsonb_object_agg(o.option, (
            select string_agg(case when m[1] ~ '^\{.+\}$' then coalesce(coalesce(new_row, old_row) ->> btrim(m[1], '{}'), '') else m[1] end, '' order by n)
            from regexp_matches(given ->> o.option, '\{[^{}]*\}|[^{}]+|[{}]', 'g') with ordinality r(m, n)))
        from unnest(made) o(option)
        where given ? o.option);
    perform enqueue(
        given ->> 'kind',
        case when wide then jsonb_build_object('op', lower(TG_OP), 'old', old_row, 'new', new_row)
             else coalesce(new_row, old_row) end,
        queue => coalesce(given ->> 'queue', 'default'), priority => coalesce((given ->> 'priority')::integer, 5),
        delay => (given ->> 'delay')::interval, max_attempts => (given ->> 'max_attempts')::integer,
        timeout => (given ->> 'timeout')::interval, tags => regexp_split_to_array(given ->> 'tags', '\s*,\s*'),
        metadata => (given ->> 'metadata')::jsonb, ttl => (given ->> 'ttl')::interval, result_ttl => (given ->> 'result_ttl')::interval,
        uniqueness => case when names ? 'unique_key' then jsonb_build_object('key', names -> 'unique_key') end,
        group_name => names ->> 'group', sequence => names ->> 'sequence', on_failure => given ->> 'on_failure');
    return null;
end
$$;
comment on function enqueue_trigger is 'Trigger: enqueues a job for each row that is inserted, updated or deleted; options are kind=..., queue=..., columns=..., condition=... and more.';
-- +goose StatementEnd

-- +goose StatementBegin
-- error_fingerprint(error): twelve hexadecimal digits that errors have in common which differ only in numbers, ids, addresses,
-- times and quoted words: the digest of error_shape. Null for no error.
-- roles: operator, reader
create function error_fingerprint(error text) returns text
language sql immutable security definer set search_path from current
as $$
    select left(md5(error_shape(error)), 12)
$$;
comment on function error_fingerprint is 'What errors of one sort have in common, in twelve hexadecimal digits.';
-- +goose StatementEnd

-- +goose StatementBegin
-- error_shape(error): the first line of an error that is not empty, with what differs from one occurrence to the next replaced:
-- UUIDs by <id>, quoted text by <text>, hexadecimal digits with numbers among them (and 0x...) by <hex>, numbers by <n>.
-- Of a long line the first 500 characters count.
create function error_shape(error text) returns text
language sql immutable
as $$
    select left(btrim(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        left(ltrim(split_part(ltrim(left(error, 2000), E' \t\r\n'), E'\n', 1)), 1000),
        '\m[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\M', '<id>', 'g'),
        '"[^"]*"|`[^`]*`|''[^'']*''(?!\w)', '<text>', 'g'),
        '\m0[xX][0-9a-fA-F]+\M', '<hex>', 'g'),
        '\m(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{6,}\M', '<hex>', 'g'),
        '\d+([.,:]\d+)*', '<n>', 'g'),
        '\s+', ' ', 'g')), 500)
$$;
comment on function error_shape is 'An error without what differs from one occurrence to the next.';
-- +goose StatementEnd

-- +goose StatementBegin
-- event_channel(): the NOTIFY channel on which readers of the event stream are woken. Empty payload.
create function event_channel() returns text
language sql stable
as $$ select 'pgq-events:' || current_schema() $$;
comment on function event_channel is 'NOTIFY channel of the readers of the event stream.';
-- +goose StatementEnd

-- +goose StatementBegin
-- event_fence(name, begun): the number of a transaction that got it during this call: the own one, unless that had one before (begun), else one
-- of a subtransaction that writes to the consumer's row. Null where there is no such row. Internal: next_batch, consumer_start.
create function event_fence(name text, begun boolean) returns xid8
language plpgsql
as $$
declare
    own constant bigint := pg_current_xact_id()::text::bigint;
    low bigint;
begin
    if not begun then
        return own::text::xid8;
    end if;
    begin
        update consumers c set token = c.token where c.name = event_fence.name returning c.xmin::text::bigint into low;
    exception
        when division_by_zero then -- never: the clause makes the block a subtransaction
            low := null;
    end;
    -- The row shows the lower half of the number, which is above that of the own transaction.
    low := (own >> 32 << 32) + low;
    return (case when low < own then low + 4294967296 else low end)::text::xid8;
end
$$;
comment on function event_fence is 'Number of a transaction that got it during the call.';
-- +goose StatementEnd

-- +goose StatementBegin
-- event_gaps(newest_id, back): the ids that are missing among the last events: those of transactions that may still be open, to
-- be asked for again by read_events. Locks nothing.
-- roles: operator, reader
create function event_gaps(newest_id bigint, back integer) returns bigint[]
language sql stable security definer set search_path from current
as $$
    select array(
        select n from generate_series(greatest(1, greatest(newest_id, 0) - within('back', back, 0, 1000000)), newest_id) n
        where not exists (select from events e where e.id = n))
$$;
comment on function event_gaps is 'Ids that are missing among the last events.';
-- +goose StatementEnd

-- +goose StatementBegin
-- event_gate(): the first of the sixteen advisory locks that consumers who sleep hold, shared; see sleep_gate. Internal.
create function event_gate() returns bigint
language sql stable
as $$ select advisory_key('sleep-events') $$;
comment on function event_gate is 'Advisory locks of consumers who sleep.';
-- +goose StatementEnd

-- +goose StatementBegin
-- event_types(): the types of events. usual: the job went its usual way, which is written at level all or while somebody
-- subscribes; the others are written at level changes, too. What Go calls them: pgq/event_types.go, which a test compares. Locks nothing.
-- roles: worker, operator, reader
create function event_types() returns table (type text, usual boolean, meaning text)
language sql immutable security definer set search_path from current
as $$
    values
        ('enqueued', true, 'a job was enqueued'),
        ('claimed', true, 'a worker took a job'),
        ('completed', true, 'a job was completed; of DAGs and maps it is a change'),
        ('released', true, 'a worker gave a job back'),
        ('retried', false, 'an attempt failed, the job is tried again: error, run_at'),
        ('snoozed', false, 'a handler put its job off: run_at'),
        ('failed', false, 'a job failed for good: error'),
        ('cancelled', false, 'a job was cancelled: error, by'),
        ('expired', false, 'a job was not started in time'),
        ('skipped', false, 'a node is not run, since its parents rule it out: cause'),
        ('cancel_requested', false, 'a running job is to be cancelled: by, reason'),
        ('retry_requested', false, 'a job is run again at somebody''s wish: by, reason'),
        ('rescheduled', false, 'a job got another time: run_at'),
        ('replaced', false, 'a unique job got the args of a later one'),
        ('deleted', false, 'a job was deleted by hand: kind, state'),
        ('moved', false, 'a job went to another queue: from, to'),
        ('priority_set', false, 'a job got another priority: from, to'),
        ('signalled', false, 'a signal was sent to a job: step'),
        ('submitted', false, 'a DAG was submitted: nodes'),
        ('extended', false, 'a DAG got more nodes: nodes'),
        ('held', false, 'nodes of a DAG are not started: reason'),
        ('resumed', false, 'nodes of a DAG, or jobs of a queue, kind or group, are started again'),
        ('opened', false, 'an external node waits for its answer, or a sleep for its time'),
        ('paused', false, 'jobs of a queue, kind or group are not started: scope, name and until where that is a limit''s'),
        ('queue_set', false, 'settings of a queue changed: settings'),
        ('limit_set', false, 'a limit changed: scope, name, settings'),
        ('limit_deleted', false, 'a limit was taken away: scope, name'),
        ('breaker_opened', false, 'a circuit breaker opened at the end of this job'),
        ('breaker_closed', false, 'a circuit breaker closed at the end of this job'),
        ('sequence_stopped', false, 'a sequence stands still, since this job of it failed for good: sequence'),
        ('sequence_resumed', false, 'a sequence goes on without the job that stopped it: sequence'),
        ('operated', false, 'an operator changed many jobs: verb, by, reason, filter, outcomes')
$$;
comment on function event_types is 'Types of events.';
-- +goose StatementEnd

-- +goose StatementBegin
-- events_of_batch(batch): events as they are shown, with the kinds of their jobs, in order. Internal: consume_events, lease_events.
create function events_of_batch(batch events[])
returns table (id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language sql stable
as $$
    select e.id, e.job_id, e.queue, e.type, e.attempt, e.worker_id, e.at, e.data,
           coalesce(j.kind, case e.type when 'deleted' then e.data ->> 'kind' end)
    from unnest(batch) with ordinality e(xid, id, job_id, queue, type, attempt, worker_id, at, data, place)
    left join lateral (select jobs.kind from jobs where jobs.id = e.job_id offset 0) j on true
    order by e.place
$$;
comment on function events_of_batch is 'Events as they are shown.';
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
           m.source_id, m.total, m.expanded, j.dag_id, j.name, j.spec, j.enqueued_by
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
                      dag_id, name, rule, spec, enqueued_by, group_name)
    select items[e.place], t.queue, t.kind, t.priority, t.max_attempts, t.timeout, t.backoff, now() + t.ttl,
           t.tags, nullif(t.metadata, 'null'),
           case when map.spec ->> 'as' is null then e.value
                else coalesce(nullif(t.args, 'null'), '{}') || jsonb_build_object(map.spec ->> 'as', e.value) end,
           map.dag_id, format('%s[%s]', map.name, map.expanded + e.place - 1), 'all',
           jsonb_strip_nulls(jsonb_build_object('map', map.job_id, 'delay', map.spec -> 'item' -> 'delay'))
               || case when jsonb_typeof(map.spec -> 'item' -> 'callbacks') = 'object'
                       then jsonb_build_object('callbacks', map.spec -> 'item' -> 'callbacks') else '{}' end, map.enqueued_by, t."group"
    from (select row_number() over (order by ordinality) as place, value
          from jsonb_array_elements(source) with ordinality
          where ordinality > map.expanded and ordinality <= map.expanded + cardinality(items)) e,
         jsonb_to_record(map.spec -> 'item') t(
             queue text, kind text, priority smallint, max_attempts integer, timeout interval, backoff jsonb,
             ttl interval, tags text[], metadata jsonb, args jsonb, "group" text);
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
-- roles: worker, operator
create function expire(at_most integer default 1000) returns integer
language plpgsql security definer set search_path from current
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
            limit within('at_most', at_most, 0, 1000000)
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
-- explain_age(age): an interval as pgq-admin writes all of them: "340ms", "1.2s", "3m20s", "5h10m", "2d4h". Internal.
create function explain_age(age interval) returns text
language sql immutable
as $$
    select case when s < 0 then '-' else '' end || case
        when s = 0 then '0s'
        when abs(s) < 0.9995 then round(abs(s) * 1000) || 'ms'
        when abs(s) < 59.95 then round(abs(s), 1) || 's'
        when r < 3600 then div(r, 60) || 'm' || mod(r, 60) || 's'
        when r < 86400 then div(r, 3600) || 'h' || mod(div(r, 60), 60) || 'm'
        else div(r, 86400) || 'd' || mod(div(r, 3600), 24) || 'h'
    end
    from extract(epoch from age) s, round(abs(s)) r
$$;
comment on function explain_age is 'An interval in plain words.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_aged(queue_name, priority, seq, due, age_every): how many jobs come before a ready one in a queue whose jobs age; see take_aged. Internal:
-- explain_ready. Looks at the first 1,000 rows of each priority; exact is false if there may be more.
create function explain_aged(
    queue_name text, priority smallint, seq bigint, due timestamptz, age_every interval, out jobs bigint, out exact boolean)
language sql stable
as $$
    select coalesce(sum(least(h.size, case when h.priority = explain_aged.priority then explain_aged.seq - h.seq else h.size end)), 0)::bigint,
           coalesce(max(h.place), 0) < 1000
    from generate_series(0, 9) p
    cross join lateral (
        select r.priority, r.seq, r.size, row_number() over (order by r.seq) as place,
               max(coalesce(r.since, j.created_at) + r.priority * age_every) over (order by r.seq) as due
        from (select * from ready r where r.queue = queue_name and r.priority = p order by r.seq limit 1000) r
        left join lateral (select created_at from jobs where id = r.job_id and r.since is null offset 0) j on true) h
    where case when h.priority = explain_aged.priority then h.seq < explain_aged.seq
               else (h.due, h.priority) < (explain_aged.due, explain_aged.priority) end
$$;
comment on function explain_aged is 'How many jobs come before a ready one in a queue whose jobs age.';
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
              and coalesce(w.role, '') not in ('signal', 'items', 'turn'));
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
-- explain_in_line(id, key, chase): for what a job waits that is in the line of a sequence. Internal: explain_waiting. Counts up to 10,000
-- jobs ahead of it. chase: whether to say why the head of the sequence does not run.
create function explain_in_line(id bigint, key text, chase boolean) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    sequence record;
    ahead bigint;
begin
    select s.* into sequence from sequence_states s where s.key = explain_in_line.key;
    ahead := (select count(*) from (
        select from waiting w where w.sequence = explain_in_line.key and w.job_id < explain_in_line.id order by w.job_id desc limit 10000) w)
        + (sequence.job_id is not null)::integer;
    return query select 'sequence',
        format('%s of its sequence %s %s to end before it', case when ahead >= 10000 then '10000 jobs or more' when ahead = 1 then 'one job' else ahead || ' jobs' end,
               to_json(explain_in_line.key), case when ahead = 1 then 'has' else 'have' end), explain_in_line.id;
    if sequence.state = 'stopped' then
        return query select 'sequence stopped',
            format('job %s failed at %s%s: retry it, or let the sequence go on without it (resume_sequence)', sequence.job_id,
                   explain_time(sequence.stopped_at), (select ' (' || f.error || ')' from results f where f.job_id = sequence.job_id)), sequence.job_id;
    elsif sequence.state = 'skipping' then
        return query select 'sequence stopped',
            format('job %s failed, and those behind it are being skipped', sequence.cause_id), sequence.cause_id;
    elsif sequence.state = 'active' then
        return query select 'head',
            format('job %s is %s%s', h.id, h.state, case
                when h.state = 'running' then format(' for %s (attempt %s)', explain_age(statement_timestamp() - h.claimed_at), h.attempt)
                when h.state = 'scheduled' then format(' until %s', explain_time(h.run_at))
                else format(', added %s ago', explain_age(statement_timestamp() - h.created_at)) end), h.id
            from job_states h where h.id = sequence.job_id;
        if chase then
            return query select 'blocked', format('job %s: %s: %s', sequence.job_id, e.reason, e.detail), sequence.job_id
                from (select * from explain_one(sequence.job_id, false) limit 1) e where e.reason <> 'running';
        end if;
    else
        return query select 'handing over', 'the job before it has ended; the next one is looked for', explain_in_line.id;
    end if;
end
$$;
comment on function explain_in_line is 'For what a job waits that is in line.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_job(id): why a job does not run, in plain words, most decisive first; job_id is the job that a line is about.
-- Raises PQ004 when there is no such job. Looks at bounded numbers of parents and jobs. Locks nothing.
--
-- reason is one of: completed, failed, cancelled, expired, skipped (how it ended), cause (the job whose failure is the
-- reason, and through which parents that came); running, late worker, cancelling; ending (a DAG or map that lets its nodes
-- end); held, DAG held; answer (an external node that is open), sleeping; items (a map under way), window (an item that
-- waits for others of its map); parents (for how many it waits), parent (each of them, the first ten), blocked (for what
-- waiting parents wait in the end), news (all parents have ended, which the job hears in a moment); sequence (jobs are ahead of it in its
-- sequence), head (the one that is at it), sequence stopped, handing over (the next one of the sequence is looked for); delayed, retrying,
-- snoozed, signal (its handler waits for one), due; queue paused, no worker, unknown kind, queued (jobs are ahead of it), workers busy, next; lost.
-- roles: operator, reader
create function explain_job(id bigint)
returns table (reason text, detail text, job_id bigint)
language plpgsql stable security definer set search_path from current
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
-- explain_limits(queue_name, kind, group_name): pauses, limits and circuit breakers that let no job of these start now. Internal: explain_turn and explain_ready.
create function explain_limits(queue_name text, kind text, group_name text) returns table (reason text, detail text)
language sql stable
as $$
    with states as materialized (
        select l.*, format('%s %s', l.scope, l.name) as title
        from (values ('queue', queue_name), ('kind', explain_limits.kind), ('group', nullif(explain_limits.group_name, ''))) s(scope, name)
        cross join lateral limit_state(s.scope, s.name, 0) l
        where s.name is not null
    )
    select 'paused', format('%s is paused%s until %s%s', title, ' by ' || paused_by, explain_time(paused_until), ': ' || pause_reason)
    from states where paused_until > clock_timestamp()
    union all
    select 'breaker', format('the circuit breaker of %s is open until %s, when one job may run; it opens after %s failures within %s', title,
                             explain_time(probe_at), break_after, explain_age(break_within))
    from states where breaker = 'open'
    union all
    select 'breaker', format('the circuit breaker of %s is half-open: %s', title,
                             coalesce(format('job %s runs, and others when it has succeeded', probe_id), 'one job may run, and others when it has succeeded'))
    from states where breaker = 'half_open'
    union all
    select 'limit', format('%s of %s jobs of %s that may run at a time are running', running, max_running, title)
    from states where running >= max_running
    union all
    select 'rate', format('%s jobs of %s may start per %s; the next one may in %s', rate, title, explain_age(period),
                          explain_age(make_interval(secs => (1 - tokens) / rate * extract(epoch from period)::float8)))
    from states where tokens < 1
$$;
comment on function explain_limits is 'What lets no job of a queue, a kind or a group start now.';
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
           format('queue %s is paused%s for %s%s', q.name, ' by ' || q.paused_by, explain_age(statement_timestamp() - q.paused_at), ': ' || q.pause_reason),
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
    select j.id, j.queue, j.kind, j.group_name, j.priority, coalesce(a.attempt, 0) as attempt, coalesce(a.seq, j.id) as seq,
           coalesce(a.since, j.created_at) as since, s.age_every, coalesce(a.since, j.created_at) + j.priority * s.age_every as due
    into job
    from jobs j
    cross join lateral settings_of(j.queue) s
    left join ready a on a.job_id = j.id and a.seq <> a.job_id
    where j.id = explain_ready.id;
    return query select e.reason, e.detail, job.id from explain_queue(job.queue) e;
    return query select l.reason, l.detail, job.id from explain_limits(job.queue, job.kind, job.group_name) l;
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
    if job.age_every is null then
        select count(*) < 10000 as exact, coalesce(sum(least(r.size, case when r.priority = job.priority then job.seq - r.seq else r.size end)), 0)::bigint as jobs
        into ahead
        from (
            select priority, seq, size from ready
            where queue = job.queue and (priority, seq) < (job.priority, job.seq)
            order by priority, seq
            limit 10000) r;
    else
        select * into ahead from explain_aged(job.queue, job.priority, job.seq, job.due, job.age_every);
    end if;
    if ahead.jobs > 0 then
        return query select 'queued',
            format('%s%s jobs are ahead of it in queue %s%s', case when ahead.exact then '' else 'at least ' end, ahead.jobs, job.queue,
                   case when job.age_every is not null then format(
                       ', which ages jobs by one priority every %s: it counts as priority %s by now, and what becomes ready after %s comes behind it',
                       explain_age(job.age_every),
                       greatest(0, round(job.priority - extract(epoch from now - job.since) / extract(epoch from job.age_every), 1)),
                       explain_time(job.due)) end), job.id;
    else
        busy := (select count(*) from (select from running r where r.queue = job.queue limit 10000) b);
        return query select 'workers busy',
            format('it is next in queue %s, of which %s jobs run on %s live workers', job.queue, busy, live.serve), job.id
            where live.know > 0 and busy > 0
            union all
            select 'next', format('it is next in queue %s and will be claimed at once', job.queue), job.id
            where live.know > 0 and busy = 0 and not exists (select from explain_queue(job.queue))
                and not exists (select from explain_limits(job.queue, job.kind, job.group_name));
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
            format('its handler was asked to stop %s ago%s', explain_age(now - lease.cancel_requested_at), ': ' || lease.cancel_reason), explain_running.id;
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
-- explain_scheduled(id): for what time or signal a job waits, and after which error. Internal: explain.
create function explain_scheduled(id bigint) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    job record;
    last record;
    step record; -- on which its handler was suspended
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
    select s.name, s.type, s.wake_at into step
    from steps s
    where s.job_id = explain_scheduled.id and s.done_at is null and s.attempt > job.attempt
    order by s.noted_at desc
    limit 1;
    if job.run_at > now and step.name is not null then
        return query select
            case step.type when 'signal' then 'signal' else 'sleeping' end,
            case step.type when 'signal' then format('waits for signal %s (send_signal)', to_json(step.name))
                           else format('sleeps (%s)', to_json(step.name)) end
            || case when step.wake_at is null then ', without a limit'
                    else format(' until %s (%s)', explain_time(step.wake_at), explain_age(step.wake_at - now)) end,
            explain_scheduled.id;
        return;
    end if;
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
comment on function explain_scheduled is 'For what time or signal a job waits.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_time(at): a time as pgq-admin writes all of them, in UTC and to the second: "2026-03-01T12:30:05Z". Internal.
create function explain_time(at timestamptz) returns text
language sql stable
as $$
    select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
$$;
comment on function explain_time is 'A time in plain words.';
-- +goose StatementEnd

-- +goose StatementBegin
-- explain_turn(id): why a job that waits for its turn does not start: pauses, limits that have no room, circuit breakers, and who comes before it.
-- Internal: explain_waiting. Counts up to 10,000 jobs ahead of it.
create function explain_turn(id bigint) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    now constant timestamptz := clock_timestamp();
    job record;
    ahead bigint;
begin
    select w.*, coalesce(w.since, j.created_at) + w.priority * s.age_every as due, s.age_every into job
    from waiting w
    cross join lateral (select created_at from jobs where jobs.id = w.job_id offset 0) j
    cross join lateral settings_of(w.queue) s
    where w.job_id = explain_turn.id;
    return query select e.reason, e.detail, job.job_id from explain_queue(job.queue) e;
    return query select l.reason, l.detail, job.job_id from explain_limits(job.queue, job.kind, job.group_name) l;
    if not exists (
        select from workers w
        where w.dead_at is null and w.heartbeat_at > now - w.lease and job.queue = any(w.queues) and job.kind = any(w.kinds)) then
        return query select 'no worker', format('no live worker of queue %s knows kind %s', job.queue, job.kind), job.job_id;
    end if;
    ahead := (
        with others as (
            select w.*, coalesce(w.since, j.created_at) + w.priority * job.age_every as due
            from (select distinct b.kind, b.priority from backlogs b where b.queue = job.queue and b.group_name = job.group_name) p
            cross join lateral (
                select x.job_id, x.priority, x.seq, x.since from waiting x
                where x.role = 'turn' and x.queue = job.queue and x.group_name = job.group_name and x.kind = p.kind and x.priority = p.priority
                order by x.seq limit 10000) w
            left join lateral (select created_at from jobs where jobs.id = w.job_id and job.age_every is not null and w.since is null offset 0) j on true
        )
        select count(*) from (
            select from others w
            where case when job.age_every is null then (w.priority, w.seq) < (job.priority, job.seq)
                       else (w.due, w.priority, w.seq) < (job.due, job.priority, job.seq) end
            limit 10000) a);
    if ahead > 0 then
        return query select 'turn', format('%s%s jobs are ahead of it in %s', case when ahead = 10000 then 'at least ' else '' end, ahead,
            case job.group_name when '' then 'queue ' || job.queue else 'group ' || job.group_name end), job.job_id;
    else
        return query select 'turn', format('it is the next one of %s',
            case job.group_name when '' then 'queue ' || job.queue else 'group ' || job.group_name end), job.job_id;
    end if;
end
$$;
comment on function explain_turn is 'Why a job that waits for its turn does not start.';
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
    if node.sequence is not null then
        return query select * from explain_in_line(node.job_id, node.sequence, chase);
        return;
    end if;
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
    if node.role = 'turn' then
        return query select * from explain_turn(node.job_id);
        return;
    elsif node.role = 'signal' and node.kind_of = 'sleep' then
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
               w.pending > 0 and not w.held and coalesce(w.role, '') not in ('signal', 'items', 'turn') as waits
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
-- export_events(after, at_most, ...): events with ids above after, in the order of their ids, as one JSON object each that
-- import_events takes: {"type": "event", "event": {a row of events}}. Filters, null for any: queues, types, since and until, kinds and job_ids (of
-- jobs that are there; of events of deletion the kind is known, too). Fewer than at_most rows: the end. Locks nothing.
-- roles: operator, reader
create function export_events(
    after bigint default 0, at_most integer default 1000, queues text[] default null, types text[] default null,
    since timestamptz default null, until timestamptz default null, kinds text[] default null, job_ids bigint[] default null)
returns table (id bigint, line jsonb)
language sql stable security definer set search_path from current set jit = off set timezone = 'UTC' set datestyle = 'ISO'
as $$
    select e.id, jsonb_build_object('type', 'event', 'event', to_jsonb(e) - 'xid')
    from events e
    where e.id > after
      and (queues is null or e.queue = any(queues))
      and (types is null or e.type = any(types))
      and (since is null or e.at >= since)
      and (until is null or e.at < until)
      and (job_ids is null or e.job_id = any(job_ids))
      and (kinds is null or exists (select from jobs j where j.id = e.job_id and j.kind = any(kinds) offset 0)
           or e.type = 'deleted' and e.data ->> 'kind' = any(kinds))
    order by e.id limit within('at_most', at_most, 0, 1000000)
$$;
comment on function export_events is 'Events, as import_events takes them.';
-- +goose StatementEnd

-- +goose StatementBegin
-- export_jobs(after, at_most, filter): all facts of jobs with ids above after, in the order of their ids, as one JSON object per job that
-- import_jobs takes: {"type": "job", "state": ..., "attempt": ..., "job": {a row of jobs}, "rows": {"results": [{...}], "logs": [{...}]}, ...}.
-- filter: which of them, as in select_jobs, but for its "after". Fewer than at_most rows: the end.
-- To get a state of affairs that fits together call it in one REPEATABLE READ transaction. Locks nothing.
-- Raises PQ001 naming the field that is not known or cannot be read.
-- roles: operator, payloads
create function export_jobs(after bigint default 0, at_most integer default 1000, filter jsonb default '{}')
returns table (id bigint, line jsonb)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set timezone = 'UTC' set intervalstyle = 'iso_8601' set datestyle = 'ISO'
as $$
#variable_conflict use_column
declare
    -- Adds to a row which of its JSON values are null, which in to_jsonb look like SQL's.
    with_nulls constant text := 'to_jsonb(%1$s) || case when array_position(array[%2$s]::text[], ''null'') is null then ''{}'' '
        || 'else jsonb_build_object(''nulls'', (select jsonb_agg(c) from unnest(array[%2$s]::text[], %3$L::text[]) u(t, c) where t = ''null'')) end';
    rows_of text;
    job text;
    ids bigint[] := '{}';
    found bigint[];
begin
    loop
        filter := filter || jsonb_build_object('after', after);
        select s.job_ids, s.next into found, after from select_jobs(filter, at_most - cardinality(ids)) s;
        ids := ids || found;
        exit when after is null or cardinality(ids) >= at_most;
    end loop;
    select string_agg(format('|| coalesce((select jsonb_build_object(%L, jsonb_agg(%s)) from %I x where x.job_id = j.id having count(*) > 0), ''{}'')',
               t.name, format(with_nulls, 'x', nulls.kinds, t.json_columns), t.name), ' ' order by t.name) filter (where t.name <> 'jobs'),
           max(format(with_nulls, 'j', replace(nulls.kinds, 'x.', 'j.'), t.json_columns)) filter (where t.name = 'jobs')
    into rows_of, job
    from export_tables() t
    cross join lateral (select coalesce(string_agg(format('jsonb_typeof(x.%I)', c), ', '), '') as kinds from unnest(t.json_columns) c) nulls;
    return query execute format($query$
        select j.id,
               jsonb_build_object('type', 'job', 'state', s.state, 'attempt', s.attempt, 'job', %s, 'rows', '{}'::jsonb %s)
               || coalesce((select jsonb_build_object('edges', jsonb_agg(to_jsonb(e) - 'child_id' order by e.parent_id)) from edges e where e.child_id = j.id having count(*) > 0), '{}')
               || coalesce((select jsonb_build_object('frontier', jsonb_agg(to_jsonb(u) - 'parent_id' order by u.first_child)) from frontier u where u.parent_id = j.id having count(*) > 0), '{}')
               || coalesce((select jsonb_build_object('unique', jsonb_build_object('taken_at', u.taken_at, 'holds_until', u.holds_until))
                            from unique_keys u where u.key = j.unique_key and u.job_id = j.id), '{}')
               || coalesce((select jsonb_build_object('dag_key', d.key) from dag_keys d where d.dag_id = j.id limit 1), '{}')
        from unnest($1) i(id)
        cross join lateral (select * from jobs where jobs.id = i.id offset 0) j
        cross join lateral (select s.state, s.attempt from job_states s where s.id = j.id offset 0) s
        order by j.id
        $query$, job, rows_of)
    using ids;
end
$$;
comment on function export_jobs is 'All facts of jobs, as import_jobs takes them.';
-- +goose StatementEnd

-- +goose StatementBegin
-- export_settings(of, name): the settings of queues, kinds, limits, schedules and consumers, as one JSON object each that import_setting takes:
-- {"type": "setting", "of": "queue", "name": "mail", "settings": {"max_depth": 1000}}; limits have a "scope", schedules that are paused
-- "paused". What is not set is left out; all that is in "settings" is what the set_... verbs take. Ordered by of, scope, name, as they are to be
-- imported: a schedule's job must fit the settings of its queue. of, name: only those; null for all. Locks nothing.
-- Not settings: pauses of queues and limits, which somebody made and will end; positions of consumers, runs of schedules; rights.
-- roles: operator
create function export_settings(of text default null, name text default null)
returns table (line jsonb)
language sql stable security definer set search_path from current set jit = off set timezone = 'UTC' set intervalstyle = 'iso_8601' set datestyle = 'ISO'
as $$
    with settings as (
        select 1 as place, 'queue' as of, null::text collate "C" as scope, q.name, to_jsonb(q) as row, null::jsonb as paused from queues q
        union all
        select 2, 'kind', null, k.name, to_jsonb(k), null from kinds k
        union all
        select 3, 'limit', l.scope, l.name, to_jsonb(l), null from limits l
        union all
        select 4, 'schedule', null, s.name,
               (to_jsonb(s) - 'job') || case when s.job is null then '{}' else
                   jsonb_build_object('kind', s.job -> 'kind')
                   || case when s.job ? 'args' then jsonb_build_object('args', s.job -> 'args') else '{}' end
                   || case when s.job - 'kind' - 'args' = '{}' then '{}' else jsonb_build_object('options', s.job - 'kind' - 'args') end end,
               case when s.paused_at is not null then jsonb_strip_nulls(jsonb_build_object('by', s.paused_by, 'reason', s.pause_reason)) end
        from schedules s
        union all
        select 5, 'consumer', null, c.name, to_jsonb(c), null from consumers c
    )
    select jsonb_build_object('type', 'setting', 'of', s.of, 'name', s.name, 'settings', coalesce(f.settings, '{}'))
           || case when s.scope is null then '{}' else jsonb_build_object('scope', s.scope) end
           || case when s.paused is null then '{}' else jsonb_build_object('paused', s.paused) end
    from settings s
    cross join lateral (
        select jsonb_object_agg(r.key, r.value) as settings
        from jsonb_each(s.row) r
        -- Null is what is not set; args may be JSON's null.
        where (r.key = any(setting_fields(s.of)) or s.of = 'schedule' and r.key in ('kind', 'args', 'options'))
          and (r.value <> 'null' or r.key = 'args')) f
    where (export_settings.of is null or s.of = export_settings.of)
      and (export_settings.name is null or s.name = export_settings.name)
    order by s.place, s.scope, s.name
$$;
comment on function export_settings is 'The settings of queues, kinds, limits, schedules and consumers, as import_setting takes them.';
-- +goose StatementEnd

-- +goose StatementBegin
-- export_tables(): the tables whose rows belong to one job each and are found by it: results, running, logs ... and those of
-- features to come. Not ready, whose rows are runs, nor slots, which end with attempts, nor events, which are exported on their own. columns: what is written of
-- a row; json_columns: those that are jsonb, in which SQL's null and JSON's are not the same. Internal: export_jobs, import_jobs.
create function export_tables() returns table (name text, columns text[], json_columns text[])
language sql stable
as $$
    select c.relname::text, a.names, a.json_names
    from pg_class c
    cross join lateral (
        select array_agg(a.attname::text order by a.attnum) as names,
               coalesce(array_agg(a.attname::text order by a.attnum) filter (where a.atttypid = 'jsonb'::regtype), '{}') as json_names
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) a
    where c.relnamespace = (select oid from pg_namespace where nspname = current_schema())
      and c.relkind = 'r'
      and (c.relname = 'jobs'
           or c.relname not in ('ready', 'slots', 'events')
              and exists (
                  select from pg_index i
                  join pg_class x on x.oid = i.indexrelid
                  join pg_am m on m.oid = x.relam and m.amname = 'btree'
                  join pg_attribute k on k.attrelid = c.oid and k.attnum = i.indkey[0] and k.attname = 'job_id'
                  where i.indrelid = c.oid and i.indpred is null))
    order by c.relname
$$;
comment on function export_tables is 'Tables whose rows belong to one job each.';
-- +goose StatementEnd

-- +goose StatementBegin
-- extend_events(name, token, lease): lets a lease of events last for so long from now on. False: it was lost. Raises PQ001 when lease is not
-- 1 ms to 1 day. Locks: the consumer's row.
-- roles: worker, operator
create function extend_events(name text, token bigint, lease interval) returns boolean
language plpgsql security definer set search_path from current
as $$
begin
    if lease is null or lease not between interval '1 ms' and interval '1 day' then
        perform invalid('lease', 'must be 1 ms to 1 day');
    end if;
    update consumers c set leased_until = clock_timestamp() + lease
    where c.name = extend_events.name and c.token = extend_events.token and c.leased_id is not null;
    return found;
end
$$;
comment on function extend_events is 'Extends a lease of events.';
-- +goose StatementEnd

-- +goose StatementBegin
-- fail(worker_id, job_ids, attempts, errors, delays, retryable, details): says that attempts failed.
-- A retryable attempt (the default) runs again after its delay (null: after the backoff of the job, its
-- kind, the queue or '*') while it has attempts left; else the job ends as failed. Errors are cut at 20,000
-- characters; details (an object per attempt: stack ...) go to the events,
-- error and stack to attempt_errors (job_errors). Raises PQ001 for arrays that are not of one length, and for delays of more than 100 years.
-- Returns the jobs that were ended and where they are now: ready, scheduled, failed or cancelled.
-- A missing job: its lease is lost; nothing was changed for it.
-- roles: worker
create function fail(
    worker_id bigint, job_ids bigint[], attempts integer[], errors text[], delays interval[] default null,
    retryable boolean[] default null, details jsonb[] default null)
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform check_parallel(
        '{job_ids,attempts,errors,delays,retryable,details}',
        array[array_dims(job_ids), array_dims(attempts), array_dims(errors), array_dims(delays), array_dims(retryable), array_dims(details)]);
    if interval '100 years' < any(delays) then
        perform invalid('delays', 'must be at most 100 years');
    end if;
    return query
        select * from end_attempts(
            fail.worker_id, job_ids, attempts,
            array(select case when coalesce(retryable[i], true) then 'retry' else 'fail' end
                  from generate_subscripts(job_ids, 1) i),
            delays, errors, details);
end
$$;
comment on function fail is 'Says that attempts failed. They run again while attempts are left, after delays[i] (null: after their backoff), unless retryable[i] is false. Returns where the jobs are now; one that is missing is somebody else''s by now.';
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
-- fail_events(name, token, up_to, error, retry_in, skipped): says that of the events of a lease those up to an id (0: none) are done and the next one
-- failed: it is the first of the next batch, which nobody gets before retry_in has passed; skipped of them were given up. Ends the lease. False: the lease was lost.
-- Raises PQ001 when retry_in is not 0 to 1 day or skipped is negative. Locks: the consumer's row.
-- roles: worker, operator
create function fail_events(name text, token bigint, up_to bigint, error text, retry_in interval default '1 s', skipped integer default 0)
returns boolean
language plpgsql security definer set search_path from current
as $$
begin
    if retry_in is null or retry_in not between interval '0' and interval '1 day' then
        perform invalid('retry_in', 'must be 0 to 1 day');
    elsif skipped is null or skipped < 0 then
        perform invalid('skipped', 'must not be negative');
    elsif not move_position(fail_events.name, fail_events.token, coalesce(up_to, 0), fail_events.skipped) then
        return false;
    end if;
    update consumers c
    set failures = c.failures + 1, error = left(coalesce(fail_events.error, 'failed'), 2000), retry_at = clock_timestamp() + retry_in
    where c.name = fail_events.name;
    return true;
end
$$;
comment on function fail_events is 'Says that a leased event failed.';
-- +goose StatementEnd

-- +goose StatementBegin
-- fail_job(worker_id, job_id, attempt, error, delay, retryable): says that one attempt failed: fail, for workers that are written
-- without arrays. delay: null is the backoff; retryable: false ends the job as failed whatever attempts are left.
-- Returns where the job is now: ready, scheduled, failed or cancelled (that was asked for meanwhile); null: the lease is
-- lost, and nothing was changed.
-- roles: worker
create function fail_job(
    worker_id bigint, job_id bigint, attempt integer, error text, delay interval default null, retryable boolean default true)
returns text
language sql security definer set search_path from current
as $$
    select outcome from fail(fail_job.worker_id, array[job_id], array[attempt], array[error], array[delay], array[retryable])
$$;
comment on function fail_job is 'Says that an attempt failed.';
-- +goose StatementEnd

-- +goose StatementBegin
-- fall_asleep(queue_names): makes this session one that is woken when jobs of these queues become ready: it listens to
-- channel() and holds the sleepers' gates, shared. Once the call is committed, and not before, look at the queues once more:
-- what was committed until then sends nothing. Jobs whose transactions looked at the gate before, and commit later, are found
-- by looking again after 10, 20, 40 ms ... up to the polling interval. Not through a transaction pooler.
-- Locks: the gates, shared, until wake_up or the end of the session; each call has to be undone by one of wake_up.
-- roles: worker
create function fall_asleep(queue_names text[]) returns void
language plpgsql security definer set search_path from current
as $$
begin
    execute format('listen %I', channel());
    perform pg_advisory_lock_shared(k) from unnest(queue_names) name, unnest(sleep_gate(name)) k;
end
$$;
comment on function fall_asleep is 'Makes this session one that is woken when jobs become ready.';
-- +goose StatementEnd

-- +goose StatementBegin
-- fill_sequences(at_most): finds the next ones of sequences without a head (next_in_line), at_most of them. Returns how much it could do:
-- 0 when there is none, or others have locked what is needed. Internal: do_chores.
-- Locks: rows of sequences by key, skipping those that others have locked; then what next_in_line locks.
create function fill_sequences(at_most integer) returns integer
language plpgsql
as $$
declare
    keys text[] := array(
        select s.key from sequences s where s.job_id is null order by s.key limit at_most for no key update skip locked);
begin
    return case when keys = '{}' then 0 else next_in_line(keys) end;
end
$$;
comment on function fill_sequences is 'Finds the next ones of sequences without a head.';
-- +goose StatementEnd

-- +goose StatementBegin
-- find_schedule(name): the row of a schedule, locked. Raises PQ004 when there is none. Internal.
create function find_schedule(name text) returns schedules
language plpgsql
as $$
declare
    schedule schedules;
begin
    select * into schedule from schedules s where s.name = find_schedule.name for update;
    if not found then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no schedule %s', to_json(coalesce(find_schedule.name, '')));
    end if;
    return schedule;
end
$$;
comment on function find_schedule is 'The row of a schedule, locked.';
-- +goose StatementEnd

-- +goose StatementBegin
-- fire_schedules(at_most): enqueues what up to at_most schedules are due to, soonest first, and notes when they are due next, all in one
-- transaction: each time that is due fires once, whoever does it and whatever breaks off. Returns how many
-- schedules were looked at: 0 when none is due or others have them. A chore of any worker.
--
-- A time for which the queue is full is tried again every 5 seconds, and counts as missed once it is late. What is refused for another
-- reason is noted (schedule_runs), and the schedule goes on with its next time.
-- Locks: rows of schedules, skipping those that others have locked; for the overlap policy cancel what cancel locks.
-- roles: worker, operator
create function fire_schedules(at_most integer default 1000) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    schedule schedules;
    plan record;
    looked_at text[] := '{}'; -- the schedules, and in parallel when they are due, fire, and wait for next
    next_times timestamptz[] := '{}';
    fire_times timestamptz[] := '{}';
    queued_times timestamptz[] := '{}';
    names text[] := '{}'; -- of what is to be fired, in parallel
    times timestamptz[] := '{}';
    targets jsonb[] := '{}';
    are_dags boolean[] := '{}';
    cancels bigint[] := '{}';
    ids bigint[];
    states text[];
    errors text[];
begin
    for schedule in
        select * from schedules s where s.fire_at <= now() order by s.fire_at limit within('at_most', at_most, 0, 1000000) for update skip locked
    loop
        plan := plan_schedule(schedule);
        looked_at := array_append(looked_at, schedule.name);
        next_times := array_append(next_times, plan.next_at);
        fire_times := array_append(fire_times, plan.fire_at);
        queued_times := array_append(queued_times, plan.queued_at);
        for i in 1 .. cardinality(plan.fire) loop
            names := array_append(names, schedule.name);
            times := array_append(times, plan.fire[i]);
            targets := array_append(targets, schedule_job(schedule, plan.fire[i]));
            are_dags := array_append(are_dags, schedule.dag is not null);
        end loop;
        cancels := cancels || plan.cancels;
        if plan.missed_at is not null then
            perform note_unfired(schedule.name, array[plan.missed_at], 'missed');
        end if;
        if plan.overlapped <> '{}' then
            perform note_unfired(schedule.name, plan.overlapped, 'overlapped');
        end if;
        exit when cardinality(names) >= 5 * at_most;
    end loop;
    if cancels <> '{}' then
        perform cancel_all(array(select id from unnest(cancels) id order by id), 'replaced by the next run of its schedule');
    end if;
    if names <> '{}' then
        select * into ids, states, errors from start_scheduled(names, targets, are_dags);
        perform note_fired(names, times, ids, states, errors);
    end if;
    -- A time that the queue was too full for is due again, with those after it.
    with plans as materialized (
        select p.name, max(p.next_at) as next_at, max(p.fire_at) as fire_at, max(p.queued_at) as queued_at,
               count(p.id) as runs, count(p.due_at) > 0 as has_fired, max(p.due_at) filter (where p.id is not null) as last_due_at,
               (array_agg(p.id order by p.due_at desc) filter (where p.id is not null))[1] as last_job_id,
               (array_agg(p.error order by p.due_at desc) filter (where p.due_at is not null))[1] as error,
               min(p.due_at) filter (where p.state = 'PQ002') as refused_at
        from (select l.*, null::timestamptz as due_at, null::bigint as id, null as state, null as error
              from unnest(looked_at, next_times, fire_times, queued_times) l(name, next_at, fire_at, queued_at)
              union all
              select f.name, null, null, null, f.due_at, f.id, f.state, f.error
              from unnest(names, times, ids, states, errors) f(name, due_at, id, state, error)) p
        group by p.name
    )
    update schedules s
    set next_at = coalesce(p.refused_at, p.next_at),
        fire_at = case when p.refused_at is null then p.fire_at else now() + interval '5 s' end,
        queued_at = case when p.refused_at is null then p.queued_at end,
        runs = s.runs + p.runs,
        last_due_at = coalesce(p.last_due_at, s.last_due_at),
        last_fired_at = case when p.last_job_id is null then s.last_fired_at else now() end,
        last_job_id = coalesce(p.last_job_id, s.last_job_id),
        error = case when p.has_fired then p.error else s.error end
    from plans p
    where s.name = p.name;
    return cardinality(looked_at);
end
$$;
comment on function fire_schedules is 'Enqueues what schedules are due to.';
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
    perform forget_keys(job_ids);
    delete from edges where parent_id = any(job_ids);
    delete from edges where child_id = any(job_ids);
    delete from signals where job_id = any(job_ids);
    delete from maps where job_id = any(job_ids);
    delete from dag_keys where dag_id = any(job_ids);
    delete from jobs where id = any(job_ids);
    delete from progress where job_id = any(job_ids);
    delete from logs where job_id = any(job_ids);
    delete from steps where job_id = any(job_ids);
    delete from attempt_errors where job_id = any(job_ids);
    if exists (select from sequences s where s.job_id = any(job_ids)) then
        perform advance_sequences(job_ids);
    end if;
end
$$;
comment on function forget is 'Deletes what is known of jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- forget_keys(job_ids): deletes the unique keys that stand for jobs about to be deleted, unless they bar others still, or somebody who
-- enqueues has them locked: prune_keys comes by later. Internal: forget. Locks: rows of unique_keys, skipping those others have locked.
create function forget_keys(job_ids bigint[]) returns void
language plpgsql
as $$
begin
    if exists (select from unique_keys) then
        delete from unique_keys
        where key = any(array(
            select u.key from unique_keys u
            where u.key = any(array(select j.unique_key from jobs j where j.id = any(job_ids) and j.unique_key is not null))
              and u.job_id = any(job_ids) and coalesce(u.holds_until <= now(), true)
            for update skip locked));
    end if;
end
$$;
comment on function forget_keys is 'Deletes the unique keys of jobs that are about to be deleted.';
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
-- forget_runs(names): deletes what is known of all but the last 100 runs of schedules. Internal.
create function forget_runs(names text[]) returns void
language plpgsql
as $$
begin
    delete from schedule_runs r
    using (select n.name, k.due_at
           from (select distinct name from unnest(names) name) n
           cross join lateral (
               select o.due_at from schedule_runs o where o.schedule = n.name order by o.due_at desc offset 100 limit 1) k) old
    where r.schedule = old.name and r.due_at <= old.due_at;
end
$$;
comment on function forget_runs is 'Deletes what is known of old runs of schedules.';
-- +goose StatementEnd

-- +goose StatementBegin
-- forget_steps(job_ids, names): forgets what handlers of finished and scheduled jobs have kept: all of it, or the steps, cursors, sleeps and
-- signals of these names. retry goes on after the last step that was recorded; after this, in the same transaction, it begins anew.
-- Outcome per job: forgotten, also if there was nothing; else the place where it is and is left as it is: ready, waiting, running; not_found.
-- Locks: rows of scheduled and results by job.
-- roles: operator
create function forget_steps(job_ids bigint[], names text[] default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    held bigint[];
begin
    held := array(select s.job_id from scheduled s where s.job_id = any(job_ids) order by s.job_id for update);
    held := held || array(select f.job_id from results f where f.job_id = any(job_ids) order by f.job_id for update);
    delete from steps s where s.job_id = any(held) and (names is null or s.name = any(names));
    return query select id, 'forgotten' from unnest(held) id;
    return query
        select p.job_id, case when p.place in ('ready', 'waiting', 'running', 'not_found') then p.place else 'ready' end
        from places(array(select unnest(job_ids) except select unnest(held))) p;
end
$$;
comment on function forget_steps is 'Forgets what handlers of jobs have kept.';
-- +goose StatementEnd

-- +goose StatementBegin
-- free_slots(job_ids): gives back the slots of attempts that counted for a limit. Internal: who has just deleted these from running, so that a
-- slot is seen exactly as long as its lease.
create function free_slots(job_ids bigint[]) returns void
language plpgsql -- keeps its plan
as $$
begin
    with freed as (
        delete from slots s where s.job_id = any(job_ids) returning s.group_name
    )
    insert into vacancies (group_name) select distinct f.group_name from freed f where f.group_name <> '';
end
$$;
comment on function free_slots is 'Gives back slots of attempts that have ended.';
-- +goose StatementEnd

-- +goose StatementBegin
-- gate_room(paused_until, opened_at, probe_at, probe_id, at): how many jobs the pause and the circuit breaker of a queue, kind or group let start
-- at a time; null: any number. One where a probe is to run. Internal, inlined: the arguments are columns of gates.
create function gate_room(paused_until timestamptz, opened_at timestamptz, probe_at timestamptz, probe_id bigint, at timestamptz) returns integer
language sql immutable
as $$
    select case
        when paused_until > at or probe_at > at or probe_id is not null then 0
        when opened_at is not null then 1
    end
$$;
comment on function gate_room is 'How many jobs a pause and a circuit breaker let start.';
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
-- need not be done, or obeyed a cancellation. Raises PQ001 for arrays that are not of one length. Returns as fail does.
-- roles: worker
create function give_up(worker_id bigint, job_ids bigint[], attempts integer[], reasons text[] default null)
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform check_parallel('{job_ids,attempts,reasons}', array[array_dims(job_ids), array_dims(attempts), array_dims(reasons)]);
    return query
        select * from end_attempts(give_up.worker_id, job_ids, attempts,
            array_fill('cancel'::text, array[coalesce(cardinality(job_ids), 0)]), null, reasons, null);
end
$$;
comment on function give_up is 'Ends attempts as cancelled.';
-- +goose StatementEnd

-- +goose StatementBegin
-- give_up_job(worker_id, job_id, attempt, reason): ends one attempt as cancelled: give_up, for workers that are written without
-- arrays. Returns cancelled, or null: the lease is lost, and nothing was changed.
-- roles: worker
create function give_up_job(worker_id bigint, job_id bigint, attempt integer, reason text default null) returns text
language sql security definer set search_path from current
as $$
    select outcome from give_up(give_up_job.worker_id, array[job_id], array[attempt], array[reason])
$$;
comment on function give_up_job is 'Ends an attempt as cancelled.';
-- +goose StatementEnd

-- +goose StatementBegin
-- grant_role(class, role_name, queues, payloads, tenants): lets a database role do what its class may. Classes add up:
--
--   producer  enqueues jobs and DAGs into the queues named (null: into all), and sees what it enqueued (own_jobs)
--   worker    claims, finishes, heartbeats, does chores; DAGs from within handlers
--   operator  looks at everything, payloads included, and steers: cancel, retry, delete, pause, set_queue, dag_...
--   reader    looks at everything but args and results, at these, too, with payloads; or only at jobs of the tenants named (tenant_jobs)
--   owner     is a member of the role that owns the schema: may do everything, migrate and grant included
--
--   select pgq.grant_role('producer', 'shop', queues => '{mail}');
--
-- Granting again adds queues, tenants, payloads. Nobody gets rights on tables. Which function and view is for whom stands in
-- the table rights. Raises PQ001 when an argument breaks a rule, 42501 for those who do not own the schema, and for class
-- owner also for those who do, unless they may change who is a member of that role (change_owners).
-- Locks: the table grants against other grants and revokes.
-- roles: owner
create function grant_role(
    class text, role_name text, queues text[] default null, payloads boolean default false, tenants text[] default null)
returns void
language plpgsql set search_path from current
as $$
#variable_conflict use_column
declare
    who constant oid := check_grant(class, role_name);
    owner constant regrole := (select relowner from pg_class where oid = 'grants'::regclass);
begin
    if queues is not null and class <> 'producer' then
        perform invalid('queues', 'must be null unless the class is producer: what others do is by job, not by queue');
    elsif tenants is not null and class <> 'reader' then
        perform invalid('tenants', 'must be null unless the class is reader; give each tenant a schema where more is wanted');
    elsif payloads and class <> 'reader' then
        perform invalid('payloads', 'must be false unless the class is reader');
    elsif queues = '{}' or exists (select from unnest(queues) q where q is null or length(q) not between 1 and 128) then
        perform invalid('queues', 'must be names of 1 to 128 characters');
    elsif tenants = '{}' or exists (select from unnest(tenants) t where t is null or length(t) not between 1 and 128 or t = '*') then
        perform invalid('tenants', 'must be names of 1 to 128 characters other than *');
    elsif class = 'owner' and (select rolsuper from pg_roles where oid = owner) then
        perform invalid('class', format('must not be owner here: the schema belongs to the superuser %s; give it to a role of its own', owner));
    elsif class = 'owner' then
        perform change_owners(who, true);
        return;
    end if;
    lock table grants in share row exclusive mode;
    insert into producers (role_id) select who where grant_role.class = 'producer' on conflict do nothing;
    insert into grants (role_id, class, queue, tenant, payloads)
    select who, grant_role.class, queue, tenant, coalesce(grant_role.payloads, false)
    from unnest(coalesce(queues, '{*}')) queue, unnest(coalesce(tenants, '{*}')) tenant
    on conflict (role_id, class, queue, tenant) do update set payloads = grants.payloads or excluded.payloads;
    perform apply_grants(array[who]);
end
$$;
comment on function grant_role is 'Lets a database role do what a class may.';
-- +goose StatementEnd

-- +goose StatementBegin
-- group_problem(group_name): the rule that the name of a job's group breaks, as {field, rule}; null when none. Internal.
create function group_problem(group_name text) returns text[]
language sql immutable
as $$
    select case
        when length(group_name) not between 1 and 200 then array['group', 'must have 1 to 200 characters']
        when group_name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then array['group', 'must not have control characters']
        when right(group_name, 1) = '*' then array['group', 'must not end in "*", which in the name of a limit stands for many groups']
    end
$$;
comment on function group_problem is 'The rule that the name of a group breaks.';
-- +goose StatementEnd

-- +goose StatementBegin
-- heartbeat(worker_id): says that the worker lives; returns the attempts of its that shall be cancelled.
-- Raises PQ005 when the worker is not registered or was declared dead: all its leases are lost.
-- Locks the worker's row only.
-- roles: worker
create function heartbeat(worker_id bigint) returns table (job_id bigint, attempt integer)
language plpgsql security definer set search_path from current
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
comment on function heartbeat is 'Says that a worker lives; returns its attempts that shall be cancelled. To be called more often than the lease lasts.';
-- +goose StatementEnd

-- +goose StatementBegin
-- hold(job_ids, running_too): locks the rows that say where jobs are, so that they stay there until the transaction ends;
-- those that it could lock, and where they are. Who is moved at this moment may be left out. Internal: change_jobs.
-- Workers that want to claim skip what is locked; running jobs end meanwhile, unless running_too.
-- Locks, waiting for others: waiting by job, scheduled by job, ready by key, running by job if asked, results by job. Then
-- once more what has become ready meanwhile, skipping what is locked.
create function hold(job_ids bigint[], running_too boolean) returns table (job_id bigint, place text)
language plpgsql
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
begin
    return query
        select w.job_id, 'waiting' from waiting w where w.job_id = any(job_ids) order by w.job_id for update;
    return query
        select s.job_id, 'scheduled' from scheduled s where s.job_id = any(job_ids) order by s.job_id for update;
    return query
        with runs as materialized (
            select r.job_id, r.size
            from (select * from runs_of(job_ids) order by queue, priority, seq) h
            cross join lateral (
                select x.job_id, x.size from ready x
                where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq
                offset 0
                for update) r
        )
        select id, 'ready' from runs r cross join lateral generate_series(r.job_id, r.job_id + r.size - 1) id where id = any(job_ids);
    if running_too then
        return query
            select r.job_id, 'running' from running r where r.job_id = any(job_ids) order by r.job_id for update;
    end if;
    return query
        select f.job_id, 'finished' from results f where f.job_id = any(job_ids) order by f.job_id for update;
    -- Rests of runs that were split while the statement above waited for them.
    return query
        with runs as materialized (
            select r.job_id, r.size
            from (select * from runs_of(job_ids) order by queue, priority, seq) h
            cross join lateral (
                select x.job_id, x.size from ready x
                where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq
                offset 0
                for update skip locked) r
        )
        select id, 'ready' from runs r cross join lateral generate_series(r.job_id, r.job_id + r.size - 1) id where id = any(job_ids);
end
$$;
comment on function hold is 'Locks the rows that say where jobs are.';
-- +goose StatementEnd

-- +goose StatementBegin
-- holds_lease(worker_id, job_id, attempt): whether the worker holds this attempt; if so it stays so until the transaction ends.
-- Internal: what handlers write while they run. Locks: the row of running against its end.
create function holds_lease(worker_id bigint, job_id bigint, attempt integer) returns boolean
language plpgsql
as $$
begin
    perform from running r
    where r.job_id = holds_lease.job_id and r.attempt = holds_lease.attempt and r.worker_id = holds_lease.worker_id
    for key share;
    return found;
end
$$;
comment on function holds_lease is 'Whether a worker holds an attempt.';
-- +goose StatementEnd

-- +goose StatementBegin
-- import_analyze(): analyzes the tables that have grown much in this transaction, as autovacuum would some time after it, so that what is imported is
-- found by good plans at once. Returns how many. Call it before the transaction that imported commits.
-- Locks: what ANALYZE locks.
-- roles: owner
create function import_analyze() returns integer
language plpgsql security definer set search_path from current
as $$
declare
    name text;
    n integer := 0;
begin
    for name in
        select c.relname from pg_class c join pg_stat_xact_user_tables x on x.relid = c.oid
        where c.relnamespace = quote_ident(current_schema())::regnamespace and x.n_tup_ins > 1000 + 0.1 * greatest(c.reltuples, 0)
        order by 1
    loop
        execute format('analyze %I', name);
        n := n + 1;
    end loop;
    return n;
end
$$;
comment on function import_analyze is 'Analyzes the tables that have grown much in this transaction.';
-- +goose StatementEnd

-- +goose StatementBegin
-- import_events(lines): appends events as export_events wrote them, with new ids. They are history: of the consumers only those that
-- begin at the beginning or before them get them. Returns how many. Raises PQ001 for a line
-- that is no event.
-- roles: owner
create function import_events(lines jsonb[]) returns integer
language plpgsql security definer set search_path from current set jit = off set timezone = 'UTC' set datestyle = 'ISO'
as $$
declare
    added integer;
begin
    if exists (select from unnest(lines) l where l is null or l->>'type' is distinct from 'event' or l->'event'->>'type' is null) then
        perform invalid('lines', 'must be of type event with an object "event" that has a type');
    end if;
    insert into events (xid, job_id, queue, type, attempt, worker_id, at, data)
    select '3', p.job_id, p.queue, p.type, p.attempt, p.worker_id, coalesce(p.at, now()), p.data
    from unnest(lines) l, jsonb_populate_record(null::events, l->'event') p order by p.id;
    get diagnostics added = row_count;
    return added;
end
$$;
comment on function import_events is 'Appends events as export_events wrote them.';
-- +goose StatementEnd

-- +goose StatementBegin
-- import_finish(): refuses (PQ001) what was imported in this transaction if parts are missing: nodes without their DAG, edges without one of
-- their jobs, jobs that are nowhere. Reads all edges and nodes. Call it before the transaction that imported jobs commits.
-- roles: owner
create function import_finish() returns void
language plpgsql security definer set search_path from current set jit = off
as $$
declare
    lone record;
begin
    select e.child_id, e.parent_id into lone from edges e
    where not exists (select from jobs j where j.id = e.parent_id) or not exists (select from jobs j where j.id = e.child_id) limit 1;
    if found then
        perform invalid('lines', format('must be complete: job %s waits for job %s, and one of them is missing', lone.child_id, lone.parent_id));
    end if;
    select j.id, j.dag_id into lone from jobs j where j.dag_id is not null and not exists (select from jobs d where d.id = j.dag_id) limit 1;
    if found then
        perform invalid('lines', format('must be complete: job %s is a node of DAG %s, which is missing', lone.id, lone.dag_id));
    end if;
    -- Whose heads were not among what was exported: the chores find the next ones.
    insert into sequences (key)
    select distinct w.sequence from waiting w
    where w.sequence is not null and not exists (select from sequences s where s.key = w.sequence);
    select u.parent_id into lone from frontier u where not exists (select from jobs j where j.id = u.parent_id) limit 1;
    if found then
        perform invalid('lines', format('must be complete: job %s is missing', lone.parent_id));
    end if;
end
$$;
comment on function import_finish is 'Refuses an import of which parts are missing.';
-- +goose StatementEnd

-- +goose StatementBegin
-- import_insert(name, rows): inserts rows of a table as export_jobs writes them; identity columns but that of jobs get new numbers.
-- PQ001 for columns that the table does not have: it is from another version. Internal: import_jobs.
create function import_insert(name text, rows jsonb) returns void
language plpgsql
as $$
declare
    t record;
    unknown text;
begin
    select * into t from export_tables() e where e.name = import_insert.name;
    if not found then
        perform invalid('lines', format('must not have rows of %s, which is not here: they are from another version', name));
    end if;
    select k into unknown
    from jsonb_array_elements(rows) r, jsonb_object_keys(r) k
    where k <> all(t.columns) and k <> 'nulls' limit 1;
    if found then
        perform invalid('lines', format('must not have %s.%s, which is not here: they are from another version', name, unknown));
    end if;
    execute format(
        'insert into %I (%s) %s select %s from jsonb_array_elements($1) r, jsonb_populate_record(null::%1$I, r) p',
        name, (select string_agg(quote_ident(c), ', ') from unnest(t.columns) c),
        case when name <> 'jobs' and 'id' = any(t.columns) then 'overriding user value' else '' end,
        (select string_agg(case when c = any(t.json_columns)
                    then format('case when r->''nulls'' ? %L then ''null''::jsonb else p.%I end', c, c) else format('p.%I', c) end, ', ')
         from unnest(t.columns) c))
    using rows;
end
$$;
comment on function import_insert is 'Inserts exported rows.';
-- +goose StatementEnd

-- +goose StatementBegin
-- import_jobs(lines, keep_ids): inserts jobs with all that belongs to them as export_jobs wrote them, in whatever state they were; a
-- job that was running becomes ready again, and that attempt does not count. Returns how many. With keep_ids they have
-- the ids that they had: call import_reserve first, in a transaction of its own. Without, they get new ones; what belongs to a
-- DAG or waits for other jobs is refused then (PQ001).
-- Unique keys stand for the jobs that they stood for.
-- SQLSTATE 23505: there is such a job or DAG already, or a unique key stands for another job. Nothing is ever overwritten. After the last call: import_finish.
-- roles: owner
create function import_jobs(lines jsonb[], keep_ids boolean) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set timezone = 'UTC' set intervalstyle = 'iso_8601' set datestyle = 'ISO'
as $$
declare
    wrong text;
    taken bigint;
    name text;
    rows jsonb;
begin
    select coalesce(l->>'type', 'null') into wrong from unnest(lines) l where l->>'type' is distinct from 'job' or jsonb_typeof(l->'job') is distinct from 'object' limit 1;
    if found then
        perform invalid('lines', format('must be of type job with an object "job", not %s', wrong));
    end if;
    select k into wrong from unnest(lines) l, jsonb_object_keys(l) k
    where k not in ('type', 'state', 'attempt', 'job', 'rows', 'edges', 'frontier', 'dag_key', 'unique') limit 1;
    if found then
        perform invalid('lines', format('must not have %s, which is not known here: they are from another version', wrong));
    end if;
    -- As in a job that is somewhere, and in one place only.
    select l->'job'->>'id' into wrong from unnest(lines) l
    where array(select k from jsonb_object_keys(l->'rows') k where k in ('results', 'running', 'scheduled', 'waiting'))
          is distinct from case when l->>'state' = 'ready' then array[]::text[]
                                when l->>'state' in ('running', 'scheduled', 'waiting') then array[l->>'state']
                                when l->>'state' = l->'rows'->'results'->0->>'state' then array['results'] end
    limit 1;
    if found then
        perform invalid('lines', format('must say the same of a job in "state" and "rows"; those of job %s do not', wrong));
    end if;
    if keep_ids then
        select j.id into taken from jobs j where j.id = any(array(select (l->'job'->>'id')::bigint from unnest(lines) l)) order by j.id limit 1;
        if found then
            raise exception 'job % is there already', taken using errcode = 'unique_violation';
        end if;
    else
        if exists (select from unnest(lines) l where l ?| array['edges', 'frontier', 'dag_key'] or l->'rows'->'waiting'->0->>'role' is distinct from 'turn' and l->'rows' ? 'waiting' or l->'job'->>'dag_id' is not null or l->'job'->>'role' is not null) then
            perform invalid('keep_ids', 'must be true for DAGs, their nodes, and jobs that wait for others');
        end if;
        lines := array(
            select l || jsonb_build_object('job', l->'job' || jsonb_build_object('id', n.id), 'rows', coalesce((
                       select jsonb_object_agg(t.key, (select jsonb_agg(r || jsonb_build_object('job_id', n.id)) from jsonb_array_elements(t.value) r))
                       from jsonb_each(l->'rows') t), '{}'))
            from (select u.l, u.n, nextval('jobs_id_seq') as id from unnest(lines) with ordinality u(l, n) order by u.n) n
            order by n.n);
    end if;
    -- The role that enqueued it is a number of the server that it was exported from.
    perform import_insert('jobs', (select jsonb_agg((l->'job') - 'enqueued_by'::text) from unnest(lines) l));
    for name, rows in
        select t.key, jsonb_agg(r) from unnest(lines) l, jsonb_each(l->'rows') t, jsonb_array_elements(t.value) r where t.key <> 'running' group by t.key
    loop
        perform import_insert(name, rows);
    end loop;
    with places as (
        select j.id, j.queue, j.priority, j.kind,
               case l->>'state' when 'running' then greatest((l->>'attempt')::integer - 1, 0) else (l->>'attempt')::integer end as attempt
        from unnest(lines) l, jsonb_populate_record(null::jobs, l->'job') j
        where l->>'state' in ('ready', 'running')
    )
    insert into ready (queue, priority, seq, job_id, attempt, kind)
    select p.queue, p.priority,
           case when p.attempt > 0 or exists (select from ready r where (r.queue, r.priority, r.seq) = (p.queue, p.priority, p.id) offset 0) then nextval('jobs_id_seq') else p.id end,
           p.id, p.attempt, p.kind
    from (select * from places order by id) p;
    insert into expiries (expires_at, job_id)
    select j.expires_at, j.id
    from unnest(lines) l, jsonb_populate_record(null::jobs, l->'job') j
    where j.expires_at is not null and l->>'state' in ('ready', 'scheduled', 'waiting') and ((l->>'attempt')::integer = 0 or j.role = 'dag');
    insert into edges select p.* from unnest(lines) l, jsonb_array_elements(l->'edges') e,
        jsonb_populate_record(null::edges, e || jsonb_build_object('child_id', l->'job'->'id')) p;
    insert into frontier select p.* from unnest(lines) l, jsonb_array_elements(l->'frontier') u,
        jsonb_populate_record(null::frontier, u || jsonb_build_object('parent_id', l->'job'->'id')) p;
    insert into dag_keys (kind, key, dag_id)
    select l->'job'->>'kind', l->>'dag_key', (l->'job'->>'id')::bigint from unnest(lines) l where l ? 'dag_key';
    with keys as (
        insert into unique_keys (key, job_id, taken_at, holds_until)
        select l->'job'->>'unique_key', (l->'job'->>'id')::bigint, (l->'unique'->>'taken_at')::timestamptz, (l->'unique'->>'holds_until')::timestamptz
        from unnest(lines) l where l ? 'unique'
        order by (l->'job'->>'unique_key') collate "C"
        on conflict do nothing
        returning job_id
    )
    select l->'job'->>'unique_key' into wrong from unnest(lines) l
    where l ? 'unique' and (l->'job'->>'id')::bigint <> all(array(select job_id from keys)) limit 1;
    if found then
        raise exception 'the unique key % stands for another job already', to_json(wrong) using errcode = 'unique_violation';
    end if;
    return cardinality(lines);
end
$$;
comment on function import_jobs is 'Inserts jobs as export_jobs wrote them.';
-- +goose StatementEnd

-- +goose StatementBegin
-- import_reserve(max_id): makes sure that ids up to max_id are not given out any more, before jobs with such ids are imported.
-- Locks the sequence against drawing ids until the transaction ends: commit at once.
-- roles: owner
create function import_reserve(max_id bigint) returns void
language plpgsql security definer set search_path from current
as $$
begin
    if max_id > 9000000000000000000 then
        perform invalid('max_id', 'must be at most 9000000000000000000');
    end if;
    if max_id > (select last_value from jobs_id_seq) then
        lock table jobs in row exclusive mode;
        -- With the lock of alter sequence nobody draws an id between looking and setting.
        alter sequence jobs_id_seq increment by 1;
        if max_id > (select last_value from jobs_id_seq) then
            execute format('alter sequence jobs_id_seq restart with %s', max_id);
            perform nextval('jobs_id_seq');
        end if;
    end if;
end
$$;
comment on function import_reserve is 'Keeps ids up to a number from being given out.';
-- +goose StatementEnd

-- +goose StatementBegin
-- import_setting(setting): makes a queue, kind, limit, schedule or consumer have the settings that the line of export_settings says, all of
-- them: what it leaves out is put back to the default. Returns created, changed or unchanged; again with the same line it is unchanged. What no line
-- names stays as it is. Call it for each line, in one transaction: all or nothing.
--
--   select pgq.import_setting('{"type": "setting", "of": "queue", "name": "mail", "settings": {"max_depth": 1000, "keep_failed": "30 days"}}');
--
-- Of queue '*' settings that must have a value keep it. Schedules go on where they were unless their times change; one that is created by a
-- line with "paused" is paused, one that is there keeps its pause, or that it has none. Consumers keep their position, new ones begin now.
-- Raises PQ001 with the field and the rule. Locks: the row, see set_queue, set_kind, set_limit, set_schedule, set_consumer.
-- roles: operator
create function import_setting(setting jsonb) returns text
language plpgsql security definer set search_path from current
set jit = off set timezone = 'UTC' set intervalstyle = 'iso_8601' set datestyle = 'ISO'
as $$
#variable_conflict use_variable
declare
    of constant text := setting ->> 'of';
    name constant text := setting ->> 'name';
    scope constant text := setting ->> 'scope';
    settings constant jsonb := setting -> 'settings';
    before jsonb;
    after jsonb;
begin
    perform check_setting(setting);
    select line into before from export_settings(of, name) where line ->> 'scope' is not distinct from scope;
    if before = setting then
        return 'unchanged';
    end if;
    case of
        when 'queue' then
            perform set_queue(name, (
                select jsonb_object_agg(f, settings -> f)
                from unnest(setting_fields('queue')) f
                where name <> '*' or settings ? f or f in ('max_depth', 'warn_depth', 'timeout')) || settings);
        when 'kind' then
            perform set_kind(name, (select jsonb_object_agg(f, settings -> f) from unnest(setting_fields('kind')) f) || settings);
        when 'limit' then
            delete from limits l where (l.scope, l.name) = (scope, name);
            perform set_limit(scope, name, settings);
        when 'schedule' then
            if set_schedule_json(settings - 'declared_by' || jsonb_build_object('name', name), settings ->> 'declared_by') = 'created'
               and setting -> 'paused' <> 'null' then
                perform pause_schedule(name, setting -> 'paused' ->> 'reason', coalesce(setting -> 'paused' ->> 'by', session_user));
            end if;
        when 'consumer' then
            begin
                perform set_consumer(
                    name,
                    case when settings -> 'queues' <> 'null' then array(select jsonb_array_elements_text(settings -> 'queues')) end,
                    case when settings -> 'types' <> 'null' then array(select jsonb_array_elements_text(settings -> 'types')) end,
                    coalesce((settings ->> 'keep')::interval, '7 days'));
            exception when data_exception then
                perform invalid('keep', 'cannot be read as interval');
            end;
    end case;
    select line into after from export_settings(of, name) where line ->> 'scope' is not distinct from scope;
    return case when before is null then 'created' when before = after then 'unchanged' else 'changed' end;
end
$$;
comment on function import_setting is 'Makes a queue, kind, limit, schedule or consumer have the settings that a line of export_settings says.';
-- +goose StatementEnd

-- +goose StatementBegin
-- instant_of(shown, zone): the instant at which the clocks of a zone show a time: the first one if they show it twice, and if
-- they leave it out the first one after the gap. Internal.
create function instant_of(shown timestamp, zone text) returns timestamptz
language plpgsql immutable strict
as $$
declare
    t constant timestamptz := shown at time zone zone;
    there constant timestamp := t at time zone zone;
    day_before constant timestamptz := t - interval '24 h';
    first timestamptz;
begin
    if there <> shown then
        -- PostgreSQL goes on with the distance from UTC that was before the gap, which leads behind it.
        return zone_change(zone, t - make_interval(secs => extract(epoch from there - shown)::float8), t);
    end if;
    -- Of two PostgreSQL takes the later.
    first := t + ((there - (t at time zone 'UTC')) - ((day_before at time zone zone) - (day_before at time zone 'UTC')));
    return case when first < t and (first at time zone zone) = shown then first else t end;
end
$$;
comment on function instant_of is 'When the clocks of a zone first show a time.';
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
-- is_batch(job_id): whether a job is a DAG that batch_submit has made. Internal.
create function is_batch(job_id bigint) returns boolean
language sql stable
as $$
    select exists (
        select from jobs j where j.dag_id = is_batch.job_id and j.name = 'jobs/close' and j.role = 'external' offset 0)
$$;
comment on function is_batch is 'Whether a job is a batch.';
-- +goose StatementEnd

-- +goose StatementBegin
-- is_finished(job_id): whether a job has ended; null when there is no such job, or for a mere producer when others enqueued
-- it. One look-up while it has not ended: for those that wait for it. Locks nothing.
-- roles: producer, worker, operator, reader
create function is_finished(job_id bigint) returns boolean
language plpgsql stable security definer set search_path from current
as $$
begin
    if visible(array[job_id]) = '{}' or not exists (select from jobs j where j.id = is_finished.job_id) then
        return null;
    end if;
    return exists (select from results f where f.job_id = is_finished.job_id);
end
$$;
comment on function is_finished is 'Whether a job has ended; null: there is none.';
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
-- is_owner(who): whether a database role may do everything here: a superuser, the owner of the schema, or a member of it.
-- False for null. Internal: to be called by SECURITY DEFINER functions, in which current_user is the owner.
create function is_owner(who oid) returns boolean
language sql stable
as $$ select coalesce(pg_has_role(who, current_user, 'usage'), false) $$;
comment on function is_owner is 'Whether a database role may do everything.';
-- +goose StatementEnd

-- +goose StatementBegin
-- is_unread(c, xid, id): whether a consumer has yet to read an event. Internal, inlined.
create function is_unread(c consumers, xid xid8, id bigint) returns boolean
language sql immutable
as $$
    select case
        when xid < c.from_xid and xid <> all(c.from_open) then false
        when xid < c.to_xid and xid <> all(c.to_open) then not c.exhausted and id > c.after_id
        else true end
$$;
comment on function is_unread is 'Whether a consumer has yet to read an event.';
-- +goose StatementEnd

-- +goose StatementBegin
-- jittered(name, due_at, jitter): when a schedule fires that is due: later by a part of its jitter, the same one whenever it is
-- asked for. Internal.
create function jittered(name text, due_at timestamptz, jitter interval) returns timestamptz
language sql stable
as $$
    select case when jitter = interval '0' then due_at else
        due_at + jitter * ((hashtextextended(name, extract(epoch from due_at)::bigint) & 1048575) / 1048576::float8) end
$$;
comment on function jittered is 'When a schedule fires that is due.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_errors(job_id): how attempts of a job failed, in order, and what it ended with, whatever the event level of its queue and for as long
-- as the job is kept; of very many attempts the last 100. type: retried, or the state in which the job ended. fingerprint is what errors of
-- one sort have in common (error_fingerprint).
-- roles: operator, reader
create function job_errors(job_id bigint)
returns table (
    attempt integer, at timestamptz, type text, error text, stack text, worker_id bigint, run_at timestamptz, fingerprint text)
language sql stable security definer set search_path from current set jit = off
as $$
    select e.attempt, e.at, case when e.outcome in ('ready', 'scheduled') then 'retried' else e.outcome end, e.error, e.stack,
           e.worker_id, e.run_at, error_fingerprint(e.error)
    from attempt_errors e
    where e.job_id = job_errors.job_id
    union all
    select f.attempt, f.finished_at, f.state, f.error, null, f.worker_id, null, error_fingerprint(f.error)
    from results f
    where f.job_id = job_errors.job_id and f.error is not null
      and not exists (select from attempt_errors e where e.job_id = f.job_id and e.attempt = f.attempt and e.outcome = f.state)
    order by 1, 2
$$;
comment on function job_errors is 'How attempts of a job failed.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_history(job_id): what happened to a job, in order: enqueued and its end from the tables of facts, what
-- lay between from the events (which the queue's level may leave out).
-- roles: operator, reader
create function job_history(job_id bigint)
returns table (id bigint, at timestamptz, type text, attempt integer, worker_id bigint, data jsonb)
language sql stable security definer set search_path from current set jit = off
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
-- job_logs(job_id, after_id, at_most): what the handlers of a job logged: lines with an id above after_id, in order. Locks nothing.
-- roles: operator, payloads
create function job_logs(job_id bigint, after_id bigint default 0, at_most integer default 1000)
returns table (id bigint, attempt integer, at timestamptz, level text, message text, attrs jsonb)
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
    select l.id, l.attempt, l.at, l.level, l.message, l.attrs
    from logs l
    where l.job_id = job_logs.job_id and l.id > job_logs.after_id
    order by l.id
    limit within('at_most', job_logs.at_most, 0, 1000000)
$$;
comment on function job_logs is 'What the handlers of a job logged.';
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
-- job_stats(since, by, at_most, buckets, filter): what became of the jobs that ended lately and fit, per kind or queue, most jobs first: counts
-- by state, how many were tried more than once (again), how many ended per minute, percentiles of how long they waited and
-- ran, and a series of counts, oldest first, of which each covers an equal part of the time since since_at.
-- wait is the time from enqueueing to the start, delays included, of jobs that were tried once and belong to no DAG;
-- run that of the last attempt. Nodes that no handler runs, and DAGs, are left out.
--
-- Results have no index by time: completed jobs are found by walking down their ids, at most at_most of them, until 5,000
-- in turn had ended before. What did not complete is found by its index, however old its id. exact is false where the walk
-- stopped at at_most; the figures are then of the time since since_at, as far as the newest jobs go. Locks nothing.
-- filter: which jobs, as in select_jobs. Raises PQ001 when an argument breaks a rule.
-- roles: operator, reader
create function job_stats(
    since interval default '1 hour', by text default 'kind', at_most integer default 100000, buckets integer default 20, filter jsonb default '{}')
returns table (
    name text, jobs bigint, completed bigint, failed bigint, cancelled bigint, expired bigint, skipped bigint, again bigint,
    per_minute double precision, wait_p50 interval, wait_p95 interval, wait_p99 interval,
    run_p50 interval, run_p95 interval, run_p99 interval, run_max interval,
    series bigint[], since_at timestamptz, until_at timestamptz, exact boolean)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
    wanted constant record := read_filter(filter);
    step constant integer := 5000;
    until constant timestamptz := statement_timestamp();
    start timestamptz;
    lowest bigint := 9223372036854775807;
    looked integer := 0;
    cut boolean := true;
    batch record;
begin
    if by is null or by not in ('kind', 'queue') then
        perform invalid('by', 'must be kind or queue');
    elsif since is null or since <= interval '0' or since > interval '100 years' then
        perform invalid('since', 'must be more than 0 and at most 100 years');
    elsif at_most is null or at_most not between 1 and 1000000 then
        perform invalid('at_most', 'must be 1 to 1000000');
    elsif buckets is null or buckets not between 1 and 1000 then
        perform invalid('buckets', 'must be 1 to 1000');
    end if;
    start := until - since;
    while looked < at_most loop
        select count(*) as rows, min(f.job_id) as first, count(*) filter (where f.finished_at >= start) as young into batch
        from (select job_id, finished_at from results where job_id < lowest order by job_id desc limit least(step, at_most - looked)) f;
        lowest := coalesce(batch.first, lowest);
        looked := looked + batch.rows;
        cut := batch.rows >= step and batch.young > 0 or batch.rows > 0 and looked >= at_most;
        exit when not cut;
    end loop;
    cut := cut and exists (select from results where job_id < lowest);
    if cut then
        start := greatest(start, (
            select min(f.finished_at) from (select * from results where job_id >= lowest offset 0) f where f.finished_at >= start));
    end if;
    return query
        with ended as (
            select f.* from (select * from results where job_id >= lowest offset 0) f where f.finished_at >= start
            union all
            select f.*
            from queue_names() n(queue),
                 unnest(array['failed', 'cancelled', 'skipped', 'expired']) t(state),
                 lateral (
                     (select * from results
                      where queue = n.queue and state = t.state and finished_at >= start and state <> 'completed' and dag_id is null
                      order by finished_at desc limit job_stats.at_most)
                     union all
                     (select * from results
                      where queue = n.queue and state = t.state and finished_at >= start and state <> 'completed' and dag_id is not null
                      order by finished_at desc limit job_stats.at_most)) f
            where f.job_id < lowest
        ), known as materialized (
            select case job_stats.by when 'kind' then j.kind else f.queue end as name, f.state, f.attempt,
                   case when f.attempt = 1 and f.dag_id is null then greatest(f.claimed_at - j.created_at, interval '0') end as wait,
                   greatest(f.finished_at - f.claimed_at, interval '0') as run,
                   least(buckets, 1 + floor(extract(epoch from f.finished_at - start) * buckets
                                            / greatest(extract(epoch from until - start), 0.000001))::integer) as bucket
            from ended f
            cross join lateral (select * from jobs where id = f.job_id offset 0) j
            where j.role is null
              and (wanted.queues is null or j.queue = any(wanted.queues))
              and (wanted.kinds is null or j.kind = any(wanted.kinds))
              and (wanted.groups is null or j.group_name = any(wanted.groups))
              and (wanted.states is null or f.state = any(wanted.states))
              and (wanted.tags is null or j.tags @> wanted.tags)
              and (wanted.ids is null or j.id = any(wanted.ids))
              and (wanted.dags is null or j.dag_id = any(wanted.dags))
              and (wanted.workers is null or f.worker_id = any(wanted.workers))
              and (wanted.since is null or j.created_at >= wanted.since)
              and (wanted.until is null or j.created_at < wanted.until)
              and (wanted.after is null or j.id > wanted.after)
              and (wanted.before is null or j.id < wanted.before)
              and (wanted.args is null or j.args @> wanted.args)
              and (wanted.metadata is null or j.metadata @> wanted.metadata)
              and (wanted.path_keys is null or args_fit(j.args, wanted.path_keys, wanted.path_values))
              and (wanted.error is null or strpos(f.error, wanted.error) > 0)
              and (wanted.fingerprints is null or error_fingerprint(coalesce(f.error, '')) = any(wanted.fingerprints))
        ), figures as (
            select k.name, count(*) as jobs,
                   count(*) filter (where state = 'completed') as completed, count(*) filter (where state = 'failed') as failed,
                   count(*) filter (where state = 'cancelled') as cancelled, count(*) filter (where state = 'expired') as expired,
                   count(*) filter (where state = 'skipped') as skipped, count(*) filter (where attempt > 1) as again,
                   percentile_disc(array[0.5, 0.95, 0.99]) within group (order by wait) as waits,
                   percentile_disc(array[0.5, 0.95, 0.99, 1]) within group (order by run) as runs
            from known k
            group by 1
        ), counted as (
            select name, bucket, count(*) as jobs from known group by 1, 2
        )
        select f.name, f.jobs, f.completed, f.failed, f.cancelled, f.expired, f.skipped, f.again,
               f.jobs * 60 / greatest(extract(epoch from until - start), 0.001)::double precision,
               f.waits[1], f.waits[2], f.waits[3], f.runs[1], f.runs[2], f.runs[3], f.runs[4],
               array(select coalesce(c.jobs, 0)
                     from generate_series(1, buckets) b
                     left join counted c on c.name = f.name and c.bucket = b
                     order by b),
               start, until, not cut
        from figures f
        order by f.jobs desc, f.name;
end
$$;
comment on function job_stats is 'What became of the jobs that ended lately, per kind or queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_steps(job_id): what handlers of a job have kept for later attempts: results of steps, cursors, sleeps, signals, in the order in which
-- they were first noted. done_at is when a step was recorded, a cursor saved, a signal sent; a sleep without it is over from wake_at on.
-- roles: worker, operator
create function job_steps(job_id bigint)
returns table (
    name text, type text, attempt integer, noted_at timestamptz, wake_at timestamptz, done_at timestamptz, timed_out boolean,
    output jsonb, codec text, payload bytea)
language sql stable security definer set search_path from current set jit = off
as $$
    select s.name, s.type, s.attempt, s.noted_at, s.wake_at, s.done_at, s.timed_out, s.output, s.codec, s.payload
    from steps s
    where s.job_id = job_steps.job_id
    order by s.noted_at, s.name
$$;
comment on function job_steps is 'What handlers of a job have kept for later attempts.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_streams(states, queues, ids, dags, newest_first): the queries from which select_jobs takes the jobs that it looks at:
-- rows (stream, id) in the order of the ids, above $14 and below $15, at most $17 of each; what they leave out does not fit.
-- Small tables and indexes are read where they hold all that can fit; else jobs or results are walked. Internal.
create function job_streams(states text[], queues text[], ids bigint[], dags bigint[], newest_first boolean) returns text[]
language plpgsql stable
as $$
declare
    most constant integer := 10000;
    ends constant text[] := array(select s from unnest('{failed,cancelled,skipped,expired}'::text[]) s where s = any(states));
    place text;
    least_ready bigint;
    sources text[] := '{}';
begin
    if job_streams.ids is not null then
        sources := array['select distinct u as id from unnest($6) u'];
    elsif dags is not null then
        sources := array['select m.id from jobs m where m.dag_id = any($8) offset 0'];
    elsif states is null then
        sources := array['select id from jobs'];
    elsif states = '{}' then
        sources := array['select 0::bigint as id where false'];
    end if;
    if sources <> '{}' then
        states := '{}';
    end if;
    foreach place in array '{waiting,scheduled,running}'::text[] loop
        if place = any(states) then
            sources := sources || format('select job_id as id from %I', place);
        end if;
    end loop;
    if 'ready' = any(states) then
        if (select count(*) from (select from ready limit most + 1) r) <= most then
            sources := sources || 'select r.job_id + g as id from ready r, generate_series(0, r.size - 1) g
                                   where r.job_id < $15 and r.job_id + r.size > $14'::text;
        else
            select min(first.id) into least_ready
            from (select min(a.job_id) as id from ready a where a.seq <> a.job_id
                  union all
                  select f.seq from queue_names() q, generate_series(0, 9) p,
                       lateral (select r.seq from ready r where r.queue = q and r.priority = p order by r.seq limit 1) f) first;
            sources := sources || format('select id from jobs where id >= %s', least_ready);
        end if;
    end if;
    if 'completed' = any(states) then
        sources := sources || 'select job_id as id from results'::text;
    elsif states <> '{}' and ends <> '{}' then
        if (select count(*)
            from (select from unnest(coalesce(job_streams.queues, array(select queue_names()))) q, unnest(ends) s,
                      lateral (select from results r where r.queue = q and r.state = s and r.state <> 'completed' and r.dag_id is null
                               union all
                               select from results r where r.queue = q and r.state = s and r.state <> 'completed' and r.dag_id is not null
                               limit most + 1) r
                  limit most + 1) r) <= most then
            sources := sources || format(
                'select r.job_id as id from unnest(%s) q, unnest(%L::text[]) s,
                     lateral (select r.job_id from results r where r.queue = q and r.state = s and r.state <> ''completed'' and r.dag_id is null
                              union all
                              select r.job_id from results r where r.queue = q and r.state = s and r.state <> ''completed'' and r.dag_id is not null
                              offset 0) r',
                case when job_streams.queues is null then 'array(select queue_names())' else '$1' end, ends);
        else
            sources := sources || 'select job_id as id from results'::text;
        end if;
    end if;
    return array(
        select format('(select %s as stream, id from (%s) s where id > $14 and id < $15 order by id %s limit $17)',
                      s.ordinality, s.source, case when newest_first then 'desc' end)
        from unnest(sources) with ordinality s(source, ordinality));
end
$$;
comment on function job_streams is 'The queries from which select_jobs takes the jobs that it looks at.';
-- +goose StatementEnd

-- +goose StatementBegin
-- jobs_from_json(jobs): the jobs of a JSON array as rows, with the defaults of enqueue. Internal.
create function jobs_from_json(jobs jsonb)
returns table (
    index bigint, kind text, args jsonb, queue text, priority integer, delay interval, run_at timestamptz,
    max_attempts integer, timeout interval, backoff jsonb, tags text[], metadata jsonb, ttl interval,
    result_ttl interval, codec text, payload bytea, uniqueness jsonb, group_name text, sequence text, on_failure text,
    callbacks jsonb)
language sql stable
as $$
    select e.ordinality - 1, r.kind, nullif(e.value -> 'args', 'null'), coalesce(r.queue, 'default'),
           coalesce(r.priority, 5), r.delay, r.run_at, r.max_attempts, r.timeout, nullif(r.backoff, 'null'),
           r.tags, nullif(r.metadata, 'null'), r.ttl, r.result_ttl, r.codec, decode(r.payload, 'base64'), nullif(e.value -> 'unique', 'null'),
           r."group", r.sequence, r.on_failure, nullif(e.value -> 'callbacks', 'null')
    from jsonb_array_elements(jobs) with ordinality e,
         jsonb_to_record(e.value) as r(
             kind text, queue text, priority integer, delay interval, run_at timestamptz, max_attempts integer,
             timeout interval, backoff jsonb, tags text[], metadata jsonb, ttl interval, result_ttl interval,
             codec text, payload text, "group" text, sequence text, on_failure text)
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
-- keep_position(c, taken): writes the position of a consumer, of which so many events were taken. A lease that it had ends. Internal.
create function keep_position(c consumers, taken integer) returns void
language sql
as $$
    update consumers x
    set from_xid = c.from_xid, from_open = c.from_open, to_xid = c.to_xid, to_open = c.to_open, to_open_ids = c.to_open_ids,
        to_id = c.to_id, after_id = c.after_id, exhausted = c.exhausted, token = x.token + 1,
        leased_id = null, leased_last = null, leased_count = null, leased_until = null, leased_by = null, failures = 0, error = null, retry_at = null,
        handled = x.handled + taken, read_at = case when taken > 0 then clock_timestamp() else x.read_at end
    where x.name = c.name
$$;
comment on function keep_position is 'Writes the position of a consumer.';
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
               or exists (select from waiting w where w.job_id = e.parent_id and w.role in ('dag', 'items') offset 0))
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
-- kind_names(): kinds of jobs, in order: those that workers know, and those of the newest 1,000 jobs. Meant for choosing
-- from, in shells for example; a kind that was not used for long is missing. Locks nothing.
-- roles: operator, reader
create function kind_names() returns setof text
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
    select unnest(kinds) from workers
    union
    select kind from (select kind, role from jobs order by id desc limit 1000) j where role is null
    order by 1
$$;
comment on function kind_names is 'Kinds of jobs to choose from.';
-- +goose StatementEnd

-- +goose StatementBegin
-- kinds_in_line(queue_name): the kinds and priorities of jobs whose groups are in line in a queue. Internal. From one to the next along an index,
-- whatever the number of groups.
create function kinds_in_line(queue_name text) returns table (kind text, priority smallint)
language sql stable
as $$
    with recursive place as (
        (select b.kind, b.priority from backlogs b
         where b.queue = queue_name and b.parked_until is null order by b.kind, b.priority limit 1)
        union all
        select n.*
        from place p
        cross join lateral (
            select b.kind, b.priority from backlogs b
            where b.queue = queue_name and b.parked_until is null and (b.kind, b.priority) > (p.kind, p.priority)
            order by b.kind, b.priority limit 1) n
    )
    select p.kind, p.priority from place p
$$;
comment on function kinds_in_line is 'Kinds and priorities of jobs that wait for their turn.';
-- +goose StatementEnd

-- +goose StatementBegin
-- latest_events(queues, kinds, types, job_ids, at_most, since, until): the latest events that fit all that is given (null: any), in order of id.
-- Without job_ids it looks at the latest 100,000 events, those that fit or not. Locks nothing.
-- Raises PQ001 when at_most is not 1 to 10,000.
-- roles: operator, reader
create function latest_events(
    queues text[] default null, kinds text[] default null, types text[] default null, job_ids bigint[] default null,
    at_most integer default 100, since timestamptz default null, until timestamptz default null)
returns table (id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query
        select f.* from (
            select e.id, e.job_id, e.queue, e.type, e.attempt, e.worker_id, e.at, e.data,
                   coalesce(j.kind, case e.type when 'deleted' then e.data ->> 'kind' end) as kind
            from (
                (select * from events where job_ids is null order by id desc limit 100000)
                union all
                (select * from events where job_ids is not null and job_id = any(job_ids))
            ) e
            left join lateral (select jobs.kind from jobs where jobs.id = e.job_id offset 0) j on true
            where (queues is null or e.queue = any(queues))
              and (types is null or e.type = any(types))
              and (kinds is null or coalesce(j.kind, case e.type when 'deleted' then e.data ->> 'kind' end) = any(kinds))
              and (since is null or e.at >= since)
              and (until is null or e.at < until)
            order by e.id desc
            limit at_most) f
        order by f.id;
end
$$;
comment on function latest_events is 'The latest events that fit.';
-- +goose StatementEnd

-- +goose StatementBegin
-- lease_events(name, at_most, lease, leased_by): reads the next events of a consumer and leases them to the caller: they are its until the lease
-- ends, and nobody else gets any of this consumer's. Say that they are done with ack_events, or that one failed with fail_events; else they
-- come again once the lease is over. token names the lease, failures is how often the first of them has failed in a row. Zero rows: nothing
-- new has happened, somebody else has a lease, or it waits after a failure. Raises PQ001 when at_most is not 1 to 10,000, lease not 1 ms to
-- 1 day, or the transaction is not read committed, PQ004 when there is no such consumer. Locks: the consumer's row, skipping it when it is locked.
-- roles: worker, operator
create function lease_events(name text, at_most integer default 100, lease interval default '30 s', leased_by text default null)
returns table (token bigint, failures integer, id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    next record;
    c consumers;
begin
    if lease is null or lease not between interval '1 ms' and interval '1 day' then
        perform invalid('lease', 'must be 1 ms to 1 day');
    end if;
    select * into next from next_batch(lease_events.name, lease_events.at_most);
    c := next.consumer;
    if c.name is null then
        return;
    elsif next.batch = '{}' then
        perform keep_position(c, 0);
        return;
    end if;
    update consumers x
    set from_xid = c.from_xid, from_open = c.from_open, to_xid = c.to_xid, to_open = c.to_open, to_open_ids = c.to_open_ids,
        to_id = c.to_id, after_id = c.after_id, exhausted = false, token = x.token + 1,
        leased_id = (next.batch[cardinality(next.batch)]).id, leased_last = c.exhausted,
        leased_count = cardinality(next.batch), leased_until = clock_timestamp() + lease,
        leased_by = left(lease_events.leased_by, 200), retry_at = null, read_at = clock_timestamp()
    where x.name = c.name;
    return query select c.token + 1, c.failures, e.* from events_of_batch(next.batch) e;
end
$$;
comment on function lease_events is 'Leases the next events of a consumer.';
-- +goose StatementEnd

-- +goose StatementBegin
-- limit_of(group_name): the limit of a group: the one of its name, else that with the longest name which ends in "*" and begins as the
-- group does; no row where there is none. Looks at one row and at those whose names end in "*", of which there are few.
-- Internal: without a search_path of its own, so that it can be inlined.
create function limit_of(group_name text) returns setof limits
language sql stable
as $$
    select l.* from (
        select x.* from limits x where x.scope = 'group' and x.name = limit_of.group_name
        union all
        select x.* from limits x
        where x.scope = 'group' and right(x.name, 1) = '*' and starts_with(limit_of.group_name, rtrim(x.name, '*'))) l
    where limit_of.group_name <> ''
    order by l.name = limit_of.group_name desc, length(l.name) desc
    limit 1
$$;
comment on function limit_of is 'The limit of a group.';
-- +goose StatementEnd

-- +goose StatementBegin
-- limit_state(of_scope, of_name, at_most): one row: what limits a queue, a kind or a group, if anything, and how much of it is in use; see limit_states.
-- Counts so many waiting jobs at most; none with 0.
-- Some look-ups, and one for each of its jobs that run and wait. Raises PQ001 for a scope that is none. Locks nothing.
-- roles: operator, reader
create function limit_state(of_scope text, of_name text, at_most integer default 10000)
returns table (
    scope text, name text, limit_name text, max_running integer, running bigint, rate integer, period interval, burst integer,
    tokens double precision, weight integer, waiting bigint, paused_until timestamptz, pause_reason text,
    break_after integer, break_within interval, break_for interval, breaker text, failures bigint, probe_at timestamptz, probe_id bigint,
    state text, exact boolean, paused_by text)
language plpgsql stable rows 1 security definer set search_path from current
set jit = off set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    if of_scope is null or of_scope not in ('queue', 'kind', 'group') then
        perform invalid('of_scope', 'must be queue, kind or group');
    end if;
    perform within('at_most', at_most, 0, 1000000);
    return query
        select of_scope,
               of_name,
               l.name,
               l.max_running,
               r.running,
               l.rate,
               l.period,
               l.burst,
               t.tokens,
               coalesce(l.weight, case of_scope when 'group' then 1 end),
               w.waiting,
               case when p.paused then g.paused_until end,
               case when p.paused then g.pause_reason end,
               l.break_after,
               l.break_within,
               l.break_for,
               b.breaker,
               case when b.breaker is not null then (
                   select count(*) from unnest(g.failed_at) f where f > statement_timestamp() - l.break_within) end,
               case when b.breaker is not null then g.probe_at end,
               case when b.breaker is not null then g.probe_id end,
               case
                   when p.paused then 'paused'
                   when b.breaker = 'open' or b.breaker = 'half_open' and g.probe_id is not null then 'broken'
                   when r.running >= l.max_running or t.tokens < 1 then 'full'
                   else 'free'
               end,
               w.waiting < at_most,
               case when p.paused then g.paused_by end
        from (select) one
        left join lateral (
            select * from limits x where of_scope <> 'group' and x.scope = of_scope and x.name = of_name
            union all
            select x.* from limit_of(of_name) x where of_scope = 'group') l on true
        left join gates g on g.scope = of_scope and g.name = of_name
        cross join lateral (select coalesce(g.paused_until > statement_timestamp(), false) as paused) p
        cross join lateral (select tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, statement_timestamp()) as tokens) t
        cross join lateral (
            select case
                when l.break_after is null then null
                when g.opened_at is null then 'closed'
                when g.probe_at > statement_timestamp() then 'open'
                else 'half_open'
            end as breaker) b
        cross join lateral (
            select case
                when of_scope = 'queue' then (select count(*) from running x where x.queue = of_name)
                when l.max_running is null then null
                else (
                    select count(*)
                    from (select s.job_id, s.attempt from slots s where of_scope = 'kind' and s.kind = of_name
                          union all
                          select s.job_id, s.attempt from slots s where of_scope = 'group' and s.group_name = of_name) s
                    where exists (select from running x where x.job_id = s.job_id and x.attempt = s.attempt offset 0))
            end as running) r
        cross join lateral (
            select count(*) as waiting
            from (
                (select from waiting x where of_scope = 'queue' and x.role = 'turn' and x.queue = of_name limit at_most)
                union all
                (select from queues_in_turn() q
                 cross join lateral (select from waiting x where x.role = 'turn' and x.queue = q and x.group_name = of_name limit at_most) x
                 where of_scope = 'group')
                union all
                -- A line has a job at least, mostly.
                (select from queues_in_turn() q
                 cross join lateral (
                     select distinct x.group_name, x.kind, x.priority from backlogs x
                     where x.queue = q and x.kind = of_name and x.emptied_at is null limit at_most) b
                 cross join lateral (
                     select from waiting x
                     where x.role = 'turn' and x.queue = q and x.group_name = b.group_name and x.kind = b.kind and x.priority = b.priority limit at_most) x
                 where of_scope = 'kind')
                limit at_most) x) w;
end
$$;
comment on function limit_state is 'What limits a queue, a kind or a group, and how much of it is in use.';
-- +goose StatementEnd

-- +goose StatementBegin
-- line_up(job_ids, attempts): puts jobs back into their sequences that are to run again: where another one is at it they wait in line, by their
-- age. Internal: retry and start_nodes, which took them from where they were. Returns those that may run now: the heads, and those that had stopped their sequence.
-- Locks: what take_sequences locks, and the rows of sequences that go on.
create function line_up(job_ids bigint[], attempts integer[]) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    keys constant text[] := array(
        select j.sequence from unnest(job_ids) with ordinality u(id, place)
        left join lateral (select sequence from jobs where jobs.id = u.id offset 0) j on true order by u.place);
    heads bigint[] := take_sequences(keys, job_ids);
begin
    with again as (
        update sequences s set stopped_at = null where s.job_id = any(job_ids) and s.stopped_at is not null returning s.job_id
    )
    select heads || coalesce(array_agg(job_id), '{}') into heads from again;
    insert into waiting (job_id, queue, pending, attempt, need_ok, need_failed, max_failed, max_skipped, sequence)
    select j.id, j.queue, 1, u.attempt, 0, 0, 0, 0, j.sequence
    from unnest(job_ids, attempts) u(id, attempt)
    cross join lateral (select id, queue, sequence from jobs where jobs.id = u.id offset 0) j
    where j.id <> all(heads) and j.sequence is not null
    order by j.id;
    return heads;
end
$$;
comment on function line_up is 'Puts jobs back into their sequences.';
-- +goose StatementEnd

-- +goose StatementBegin
-- list_failures(queues, kinds, since, at_most, look_at, until, filter): jobs that failed for good (the dead letters), together by what
-- error_fingerprint says of their errors, kind and queue; most jobs first. error is that of the last one. Looks at the newest
-- look_at failures of these queues and since then, of which it lists those that fit the rest; where there are more, exact is false. since and
-- until are times of the failure, from and before them; null is any. filter: what else the jobs must fit, as in select_jobs.
-- What failed only since another job did (a DAG whose node failed) is left out.
-- roles: operator, reader
create function list_failures(
    queues text[] default null, kinds text[] default null, since timestamptz default null, at_most integer default 100,
    look_at integer default 10000, until timestamptz default null, filter jsonb default '{}')
returns table (
    fingerprint text, kind text, queue text, jobs bigint, first_at timestamptz, last_at timestamptz, last_job_id bigint,
    error text, exact boolean)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    wanted constant record := read_filter(filter);
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    elsif look_at is null or look_at not between 1 and 1000000 then
        perform invalid('look_at', 'must be 1 to 1000000');
    end if;
    return query
        with looked as materialized (
            select * from newest_failures(list_failures.queues, list_failures.since, look_at + 1)
        ), failed as materialized (
            select l.job_id, l.finished_at, j.kind, j.queue, error_fingerprint(coalesce(f.error, '')) as fingerprint
            from (select * from looked limit look_at) l
            cross join lateral (select * from jobs where jobs.id = l.job_id offset 0) j
            cross join lateral (select * from results where results.job_id = l.job_id offset 0) f
            where f.cause_id is null and (list_failures.kinds is null or j.kind = any(list_failures.kinds))
              and (list_failures.until is null or l.finished_at < list_failures.until)
              and (wanted.queues is null or j.queue = any(wanted.queues))
              and (wanted.kinds is null or j.kind = any(wanted.kinds))
              and (wanted.groups is null or j.group_name = any(wanted.groups))
              and (wanted.states is null or f.state = any(wanted.states))
              and (wanted.tags is null or j.tags @> wanted.tags)
              and (wanted.ids is null or j.id = any(wanted.ids))
              and (wanted.dags is null or j.dag_id = any(wanted.dags))
              and (wanted.workers is null or f.worker_id = any(wanted.workers))
              and (wanted.since is null or j.created_at >= wanted.since)
              and (wanted.until is null or j.created_at < wanted.until)
              and (wanted.after is null or j.id > wanted.after)
              and (wanted.before is null or j.id < wanted.before)
              and (wanted.args is null or j.args @> wanted.args)
              and (wanted.metadata is null or j.metadata @> wanted.metadata)
              and (wanted.path_keys is null or args_fit(j.args, wanted.path_keys, wanted.path_values))
              and (wanted.error is null or strpos(f.error, wanted.error) > 0)
              and (wanted.fingerprints is null or error_fingerprint(coalesce(f.error, '')) = any(wanted.fingerprints))
        ), alike as (
            select fingerprint, kind, queue, count(*) as jobs, min(finished_at) as first_at, max(finished_at) as last_at,
                   (array_agg(job_id order by finished_at desc, job_id desc))[1] as last_job_id
            from failed group by fingerprint, kind, queue
        )
        select a.fingerprint, a.kind, a.queue, a.jobs, a.first_at, a.last_at, a.last_job_id, f.error,
               (select count(*) from looked) <= look_at
        from (select * from alike order by jobs desc, last_at desc limit at_most) a
        cross join lateral (select error from results where results.job_id = a.last_job_id offset 0) f
        order by a.jobs desc, a.last_at desc;
end
$$;
comment on function list_failures is 'Jobs that failed for good, together by fingerprint, kind and queue.';
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
-- log_job(job_id, attempt, message, level): keeps a line of a handler's log: add_logs, for workers that are written without arrays.
-- Raises PQ001 for a field that breaks a rule.
-- roles: worker
create function log_job(job_id bigint, attempt integer, message text, level text default 'INFO') returns void
language plpgsql security definer set search_path from current
as $$
declare
    problem constant text[] := log_problem(log_job.job_id, log_job.attempt, now(), log_job.level, log_job.message);
begin
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
    perform add_logs(array[job_id], array[attempt], array[clock_timestamp()], array[level], array[message], array[null::jsonb]);
end
$$;
comment on function log_job is 'Keeps a line of a handler''s log.';
-- +goose StatementEnd

-- +goose StatementBegin
-- log_problem(job_id, attempt, at, level, message): the first rule that a log line breaks, as {field, rule}; null when none. Internal: add_logs, log_job.
create function log_problem(job_id bigint, attempt integer, at timestamptz, level text, message text) returns text[]
language sql immutable
as $$
    select case
        when job_id is null then array['job_id', 'must not be null']
        when attempt is null or attempt < 0 then array['attempt', 'must be at least 0']
        when at is null then array['time', 'must not be null']
        when level is null or length(level) not between 1 and 40 then array['level', 'must have 1 to 40 characters']
        when message is null then array['message', 'must not be null']
    end
$$;
comment on function log_problem is 'First rule that a log line breaks, as {field, rule}.';
-- +goose StatementEnd

-- +goose StatementBegin
-- make_keys(uniques, kinds, queues, args): the keys of jobs that are to be unique as uniques say (see unique_problem), null for nulls, and
-- until when they bar others at least. Raises PQ001 for one that breaks a rule, with its place in the arrays.
-- Internal: the Go client's EnqueueMany, for jobs of which the key is not given as such.
-- roles: owner
create function make_keys(uniques jsonb[], kinds text[], queues text[], args jsonb[], out keys text[], out holds timestamptz[])
language plpgsql stable set search_path from current
as $$
#variable_conflict use_column
declare
    bad record;
begin
    with sorts as materialized (
        select min(u.place) - 1 as index,
               case when jsonb_typeof(u.spec -> 'key') = 'string' and length(u.spec ->> 'key') between 1 and 450
                    then jsonb_set(u.spec, '{key}', '"k"') else u.spec end as spec
        from unnest(uniques) with ordinality u(spec, place)
        where u.spec is not null
        group by 2
    )
    select s.index, p.problem into bad
    from sorts s
    cross join lateral (select unique_problem(s.spec) as problem offset 0) p
    where p.problem is not null
    order by s.index limit 1;
    if found then
        perform invalid(format('jobs[%s].%s', bad.index, bad.problem[1]), bad.problem[2]);
    end if;
    select array_agg(case when u.spec is not null then unique_key(u.spec, u.kind, u.queue, u.args) end order by u.place),
           array_agg(unique_until(u.spec) order by u.place)
    into keys, holds
    from unnest(uniques, kinds, queues, make_keys.args) with ordinality u(spec, kind, queue, args, place);
end
$$;
comment on function make_keys is 'The keys of jobs that are to be unique.';
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
-- move(job_ids, queue, reason, actor): moves jobs that are ready or scheduled to another queue. Ready ones come behind those that are ready
-- there already; scheduled ones keep their time. Outcome per job: moved, unchanged (it is in that queue), running, waiting (for
-- other jobs), finished, not_found.
-- Raises PQ001 for a queue that no job may be in, PQ002 when the queue would be past its maximum depth.
-- actor is who does it, the session's user by default; reason and actor are kept with the events.
-- Locks: the DAGs; rows of scheduled by job, then what withdraw locks.
-- roles: operator
create function move(job_ids bigint[], queue text, reason text default null, actor text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
    problem constant text[] := job_problem('k', move.queue, 5, null, null, null, null, null, null, null, null, null, null, null, null);
    done record;
    some_moved boolean := false;
begin
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
    for done in select * from rearrange(move.job_ids, move.queue, null, operator_data(reason, actor)) loop
        some_moved := some_moved or done.outcome = 'changed';
        job_id := done.job_id;
        outcome := case done.outcome when 'changed' then 'moved' else done.outcome end;
        return next;
    end loop;
    if some_moved then
        perform check_depth(move.queue, 0, s.max_depth, null) from settings_of(move.queue) s where s.max_depth is not null;
    end if;
end
$$;
comment on function move is 'Moves jobs that wait to another queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- move_position(name, token, up_to, skipped): moves the position of a consumer behind the leased events up to an id and ends the lease;
-- false when there is no such lease. Failures are forgotten if it moves. Internal: ack_events, fail_events. Locks: the consumer's row.
create function move_position(name text, token bigint, up_to bigint, skipped integer) returns boolean
language plpgsql
as $$
declare
    c consumers;
    taken integer := 0;
begin
    select * into c from consumers x
    where x.name = move_position.name and x.token = move_position.token and x.leased_id is not null
    for update;
    if not found then
        return false;
    elsif up_to >= c.leased_id then
        taken := c.leased_count;
    elsif up_to > c.after_id then
        select count(*) into taken from unnest(read_window(c, c.leased_count)) e where e.id <= up_to;
    end if;
    update consumers x
    set after_id = greatest(c.after_id, least(up_to, c.leased_id)), exhausted = c.leased_last and up_to >= c.leased_id,
        failures = case when taken > 0 then 0 else c.failures end, error = case when taken > 0 then null else c.error end,
        leased_id = null, leased_last = null, leased_count = null, leased_until = null, leased_by = null,
        handled = c.handled + greatest(taken - move_position.skipped, 0), skipped = c.skipped + move_position.skipped
    where x.name = c.name;
    return true;
end
$$;
comment on function move_position is 'Moves a consumer behind leased events.';
-- +goose StatementEnd

-- +goose StatementBegin
-- newest_event_id(): the highest id that was drawn for an event, committed or not; 0: none. Internal.
create function newest_event_id() returns bigint
language sql volatile
as $$ select case when is_called then last_value else 0 end from events_id_seq $$;
comment on function newest_event_id is 'Highest id drawn for an event.';
-- +goose StatementEnd

-- +goose StatementBegin
-- newest_failures(queues, since, at_most): the newest jobs that failed for good, of these queues (null: of all), not before since (null: ever), latest
-- first. Internal: list_failures.
--
-- Failures have an index per queue by time, none over all. Few are taken of each queue at first; then four times as many of those queues of which even the
-- oldest that was taken is among the newest, until there are none. So where there are many queues most of what is read is also wanted.
create function newest_failures(queues text[], since timestamptz, at_most integer) returns table (job_id bigint, finished_at timestamptz)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    names text[] := array(select distinct q from unnest(coalesce(queues, array(select queue_names()))) q);
    share integer := least(at_most, 2 * at_most / greatest(1, cardinality(names)) + 10);
    newest record;
begin
    select '{}'::bigint[] as ids, '{}'::timestamptz[] as times into newest;
    loop
        with failed as materialized (
            select q as queue, f.*
            from unnest(names) q
            cross join lateral (
                (select r.job_id, r.finished_at from results r
                 where r.queue = q and r.state = 'failed' and r.state <> 'completed' and r.dag_id is null
                   and r.finished_at >= coalesce(newest_failures.since, '-infinity')
                 order by r.finished_at desc limit share)
                union all
                (select r.job_id, r.finished_at from results r
                 where r.queue = q and r.state = 'failed' and r.state <> 'completed' and r.dag_id is not null
                   and r.finished_at >= coalesce(newest_failures.since, '-infinity')
                 order by r.finished_at desc limit share)
                order by finished_at desc limit share) f
        ), known as materialized (
            select * from (
                select job_id, finished_at from unnest(newest.ids, newest.times) k(job_id, finished_at)
                union
                select job_id, finished_at from failed) u
            order by finished_at desc, job_id desc limit at_most
        ), cut as (
            select case when count(*) = at_most then min(finished_at) else '-infinity' end as at from known
        ), unread as (
            select f.queue from failed f cross join cut group by f.queue, cut.at
            having count(*) = share and min(f.finished_at) >= cut.at
        )
        select array_agg(k.job_id order by k.finished_at desc, k.job_id desc) as ids,
               array_agg(k.finished_at order by k.finished_at desc, k.job_id desc) as times,
               array(select u.queue from unread u) as names
        into newest
        from known k;
        exit when newest.names = '{}' or share = at_most;
        names := newest.names;
        share := least(at_most, 4 * share);
    end loop;
    return query select * from unnest(newest.ids, newest.times);
end
$$;
comment on function newest_failures is 'The newest jobs that failed for good.';
-- +goose StatementEnd

-- +goose StatementBegin
-- next_batch(name, at_most): takes the row of a consumer and reads the next events that it wants, at most so many, in order: all of a
-- window by their ids. Returns the consumer with its window as it is then, not yet written, and the events; null for both when there is
-- nothing to do: somebody else has it, it waits after a failure, or nothing new has happened. Raises PQ001 for at_most, PQ004 when there
-- is no such consumer. Locks: the consumer's row, if there is something to do; skips it when it is locked. Internal: consume_events, lease_events.
create function next_batch(name text, at_most integer, out consumer consumers, out batch events[])
language plpgsql
as $$
declare
    -- Whether the transaction had its number before newest_id was read; the lock gives it one.
    begun constant boolean := pg_current_xact_id_if_assigned() is not null;
    newest_id constant bigint := newest_event_id();
    c consumers;
    moved boolean := false;
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    select * into c from consumers x where x.name = next_batch.name;
    if not found then
        raise exception using errcode = 'PQ004', message = format('no consumer %s', next_batch.name);
    elsif not consumer_is_due(c) then
        return;
    end if;
    select * into c from consumers x where x.name = next_batch.name for update skip locked;
    if not found or not consumer_is_due(c) then
        return;
    end if;
    loop
        if c.exhausted then
            c := open_window(c, newest_id, event_fence(c.name, begun));
            moved := true;
        end if;
        batch := read_window(c, at_most);
        c.exhausted := cardinality(batch) < at_most;
        exit when batch <> '{}' or moved;
    end loop;
    consumer := c;
end
$$;
comment on function next_batch is 'Next events of a consumer.';
-- +goose StatementEnd

-- +goose StatementBegin
-- next_bit(mask, at_least): the lowest bit of a mask that is set and is no lower than at_least (0 to 62); null when there is none. Internal.
create function next_bit(mask bigint, at_least integer) returns integer
language sql immutable
as $$
    select case when mask >> at_least > 0 then
        round(ln(((mask >> at_least << at_least) & -(mask >> at_least << at_least))::float8) / ln(2::float8))::integer end
$$;
comment on function next_bit is 'The lowest bit of a mask that is set, from one on.';
-- +goose StatementEnd

-- +goose StatementBegin
-- next_in_line(keys): gives these sequences, whose heads have ended, their next ones: the first that waits becomes ready, or scheduled until
-- its time. Those that are to be skipped are skipped before, 1,000 at most. A sequence without anybody in line is deleted. Internal:
-- the caller has locked the rows. Returns how much it could do: 0 is nothing.
--
-- It never waits. A sequence is left without a head, and the chores look again (fill_sequences), where somebody has the row of the next one
-- locked, has more to skip, or where somebody who may be adding the next one has not committed. That one sees the row of the sequence and does
-- not begin it anew, so the row must not go.
-- Locks: rows of waiting by job and of sequences by key, skipping those that others have locked.
create function next_in_line(keys text[]) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
    ready_keys text[];
    handed text[] := '{}'; -- those that have a head now
    line record;
    got bigint[];
    lone text[];
    done integer := skip_in_line(keys);
begin
    ready_keys := array(select s.key from sequences s where s.key = any(keys) and s.skip_to is null);
    for round in 1 .. 2 loop
        exit when ready_keys = '{}';
        select array_agg(w.job_id order by w.job_id) filter (where w.job_id is not null) as firsts,
               array_agg(k.key order by k.key) filter (where w.job_id is null) as empty
        into line
        from unnest(ready_keys) k(key)
        left join lateral (select job_id from waiting where sequence = k.key order by job_id limit 1) w on true;
        got := array(select w.job_id from waiting w where w.job_id = any(line.firsts) and w.sequence is not null order by w.job_id for update skip locked);
        if got <> '{}' then
            with heads as materialized (
                select w.sequence as key, w.job_id from waiting w where w.job_id = any(got)
            ), told as (
                update sequences s set job_id = (select h.job_id from heads h where h.key = s.key), stopped_at = null
                where s.key = any(array(select key from heads))
                returning s.key
            )
            select handed || array_agg(key) into handed from told;
            perform start_nodes(got);
            done := done + cardinality(got);
        end if;
        -- Nobody shares what could be locked, and nobody will before this has ended: what is in line now is all there is.
        lone := array(select s.key from sequences s where s.key = any(line.empty) order by s.key for update skip locked);
        with gone as (
            delete from sequences s
            where s.key = any(lone) and not exists (select from waiting w where w.sequence = s.key)
            returning s.key
        )
        select done + count(*)::integer, array(select unnest(lone) except select key from gone)
        into done, ready_keys
        from gone;
    end loop;
    update sequences s set job_id = null, stopped_at = null
    where s.key = any(keys) and s.key <> all(handed) and s.job_id is not null;
    if exists (select from sequences s where s.key = any(keys) and s.job_id is null) then
        perform wake_chores();
    end if;
    return done;
end
$$;
comment on function next_in_line is 'Gives sequences their next heads.';
-- +goose StatementEnd

-- +goose StatementBegin
-- next_time(spec, zone, after): the first time after one at which a schedule would be due; null when there is none any more. An interval
-- ("every 15 minutes") is counted from that time on. See set_schedule for what spec may be.
--
--   select pgq.next_time('30 2 * * *', 'Europe/Berlin', '2030-03-31 00:00+01');
--
-- Raises PQ001 for a spec or zone that is none. Locks nothing.
-- roles: producer, worker, operator, reader
create function next_time(spec text, zone text default 'UTC', after timestamptz default now()) returns timestamptz
language plpgsql stable security definer set search_path from current
as $$
declare
    problem text := zone_problem(zone);
    rule record;
begin
    if problem is not null then
        perform invalid('zone', problem);
    elsif after is null or not isfinite(after) then
        perform invalid('after', 'must be a time');
    end if;
    rule := read_spec(spec, zone);
    if rule.problem is not null then
        perform invalid('spec', rule.problem);
    end if;
    return case when rule.period is not null then after + rule.period
                else time_after(rule.fields, null, rule.once_at, zone, null, after) end;
end
$$;
comment on function next_time is 'When a schedule would be due next.';
-- +goose StatementEnd

-- +goose StatementBegin
-- next_times(name, at_most): the next times at which a schedule is due, without its jitter; none if it has ended, and those that it would
-- have if it is paused. At most 1,000. Raises PQ004 when there is no such schedule. Locks nothing.
-- roles: operator, reader
create function next_times(name text, at_most integer default 10) returns setof timestamptz
language plpgsql stable security definer set search_path from current
as $$
declare
    schedule schedules;
    due timestamptz;
begin
    select * into schedule from schedules s where s.name = next_times.name;
    if not found then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no schedule %s', to_json(coalesce(next_times.name, '')));
    elsif at_most is null or at_most not between 1 and 1000 then
        perform invalid('at_most', 'must be 1 to 1000');
    end if;
    due := case when schedule.paused_at is not null and schedule.next_at <= now() then schedule_next(schedule, now()) else schedule.next_at end;
    for n in 1 .. least(at_most, schedule.max_runs - schedule.runs) loop
        exit when due is null;
        return next due;
        due := schedule_next(schedule, due);
    end loop;
end
$$;
comment on function next_times is 'The next times at which a schedule is due.';
-- +goose StatementEnd

-- +goose StatementBegin
-- next_turn(): wakes the workers of queues in which a bucket has a token again, a pause is over or a probe may run, or whose jobs might have been overlooked;
-- when to call it next. Internal: do_chores. Looks at the gates of kinds and queues, and at the next of the parked groups of each queue.
create function next_turn() returns timestamptz
language plpgsql
as $$
declare
    now constant timestamptz := clock_timestamp();
    vacant constant boolean := exists (select from vacancies);
    woken text[];
    next timestamptz;
begin
    with openings as (
        select g.scope, g.name,
               greatest(g.paused_until, g.probe_at, g.refilled_at + (1 - g.tokens) / l.rate * l.period) as at
        from gates g
        left join limits l on l.scope = g.scope and l.name = g.name
        where g.scope <> 'group'
    ), lines as (
        select q.name,
               exists (select from backlogs b where b.queue = q.name and b.parked_until is null offset 0) as in_line,
               (select min(b.parked_until) from backlogs b where b.queue = q.name) as at
        from queues_in_turn() q(name)
    )
    select least((select min(o.at) from openings o where o.at > now), (select min(l.at) from lines l where l.at > now)),
           array(select o.name from openings o where o.scope = 'queue' and o.at <= now
                 union
                 select l.name from lines l where l.in_line or vacant or l.at <= now)
    into next, woken;
    perform wake(woken);
    return greatest(next, now + interval '50 ms'); -- what comes in between starts together
end
$$;
comment on function next_turn is 'Wakes workers for jobs whose turn may have come.';
-- +goose StatementEnd

-- +goose StatementBegin
-- node_verdict(...): what the counters of a waiting row say against its thresholds: run, skip, or null (wait).
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
-- note_fired(names, times, ids, states, errors): notes what became of times that were to fire, in parallel arrays; not of those that a full
-- queue refused (PQ002), which are due again. Internal: fire_schedules, which holds the rows of the schedules.
create function note_fired(names text[], times timestamptz[], ids bigint[], states text[], errors text[]) returns void
language plpgsql
as $$
begin
    insert into schedule_runs (schedule, due_at, outcome, times, job_id, error)
    select f.name, f.due_at, case when f.id is null then 'failed' else 'fired' end, 1, f.id, f.error
    from unnest(names, times, ids, states, errors) f(name, due_at, id, state, error)
    where f.state is distinct from 'PQ002'
    on conflict (schedule, due_at) do update
    set outcome = excluded.outcome, times = 1, job_id = excluded.job_id, fired_at = now(), error = excluded.error
    where schedule_runs.outcome not in ('fired', 'by_hand');
    -- Keeps the last 100 of each, looked at now and then.
    perform forget_runs(array(select s.name from schedules s where s.name = any(names) and (s.runs % 10 = 0 or cardinality(names) < 10)));
end
$$;
comment on function note_fired is 'Notes what became of times that were to fire.';
-- +goose StatementEnd

-- +goose StatementBegin
-- note_queue_probe(worker_id, queue_name, at): notes that the job which a worker has claimed at that time is the probe of the queue, if its circuit breaker
-- waits for one. Internal: claim, which was told of room for one job (queue_room).
create function note_queue_probe(worker_id bigint, queue_name text, at timestamptz) returns void
language sql
as $$
    update gates g
    set (probe_id, probe_attempt) = (
        select r.job_id, r.attempt from running r
        where r.queue = queue_name and r.worker_id = note_queue_probe.worker_id and r.claimed_at = note_queue_probe.at
        limit 1)
    where g.scope = 'queue' and g.name = queue_name and g.probe_at <= note_queue_probe.at and g.probe_id is null
$$;
comment on function note_queue_probe is 'Notes which job is the probe of a queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- note_unfired(name, times, outcome): notes times of a schedule that did not fire, missed or overlapped. Those that follow each
-- other are one row: the first of them, and how many; of missed ones only the first is known. Internal: fire_schedules.
create function note_unfired(name text, times timestamptz[], outcome text) returns void
language plpgsql
as $$
begin
    update schedule_runs r
    set times = r.times + cardinality(note_unfired.times), fired_at = now()
    where (r.schedule, r.due_at) = (
            select l.schedule, l.due_at from schedule_runs l
            where l.schedule = note_unfired.name order by l.due_at desc limit 1)
      and r.outcome = note_unfired.outcome
      and r.due_at <= note_unfired.times[1];
    if not found then
        insert into schedule_runs (schedule, due_at, outcome, times)
        values (note_unfired.name, note_unfired.times[1], note_unfired.outcome,
                case when note_unfired.outcome <> 'missed' then cardinality(note_unfired.times) end)
        on conflict do nothing;
    end if;
end
$$;
comment on function note_unfired is 'Notes times of a schedule that did not fire.';
-- +goose StatementEnd

-- +goose StatementBegin
-- notify_subscribers(): wakes those who read the events, if there are any, once the transaction commits: live subscribers, and consumers who
-- sleep. Those hold the gates on their LISTEN connections: where nobody does no NOTIFY is sent, since NOTIFY makes commits wait for each other.
create function notify_subscribers() returns void
language plpgsql
as $$
declare
    gate bigint;
begin
    if exists (select from subscribers where alive_until > now()) then
        perform pg_notify(event_channel(), '');
    elsif exists (select from consumers) then
        gate := event_gate() + pg_backend_pid() % 16;
        if pg_try_advisory_lock(gate) then
            perform pg_advisory_unlock(gate);
        else
            perform pg_notify(event_channel(), '');
        end if;
    end if;
end
$$;
comment on function notify_subscribers is 'Wakes the readers of the events.';
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
-- open_window(c, newest_id, fence): moves the window of a consumer on: from where it ended to what has ended by now. newest_id is the newest id
-- of an event at some moment, and fence the number of a transaction that got it later than that (event_fence); null where there is none.
-- Internal: next_batch, consumer_start.
--
-- Why no event is passed by: an event is in the window if its transaction had not ended at the first look and has at the second one,
-- and the next window begins where this one ends. So each event that commits is in exactly one window, whatever its id.
-- A window is read in the order of ids behind after_id, which is below all ids in it: a transaction draws ids after it has got its number
-- (events.xid is before events.id). So one whose number is above the fence has ids above newest_id (to_id), and one that was open at
-- a look and not at the look before has ids above the to_id of that one (to_open_ids).
-- The own transaction counts as open: what it writes after this comes later.
-- Raises PQ001 unless each statement has a snapshot of its own, PQ008 when the position is another server's.
create function open_window(c consumers, newest_id bigint, fence xid8) returns consumers
language plpgsql
as $$
declare
    look record;
begin
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        perform invalid('transaction_isolation', 'must be read committed where events are consumed');
    end if;
    if c.to_xid > fence then
        raise exception using errcode = 'PQ008',
            message = format('the position of consumer %s and the events are of another server', c.name),
            hint = 'select adopt_events()';
    end if;
    select l.xid, l.open into look from transactions_look(greatest(fence, c.to_xid)) l;
    c.from_xid := c.to_xid;
    c.from_open := c.to_open;
    c.after_id := least(c.to_id, (select min(o.id) from unnest(c.to_open, c.to_open_ids) o(xid, id) where o.xid <> all(look.open)));
    c.to_open_ids := array(
        select coalesce(o.id, c.to_id)
        from unnest(look.open) with ordinality l(xid, place)
        left join unnest(c.to_open, c.to_open_ids) o(xid, id) on o.xid = l.xid
        order by l.place);
    c.to_xid := look.xid;
    c.to_open := look.open;
    c.to_id := case when fence is null then c.to_id else greatest(c.to_id, newest_id) end;
    c.exhausted := false;
    return c;
end
$$;
comment on function open_window is 'Moves the window of a consumer on.';
-- +goose StatementEnd

-- +goose StatementBegin
-- operator_data(reason, actor, more): who did something and why, as events have it: by (actor, else the session's user), user (the session's, where the actor is another), reason.
-- Internal: the operators' verbs.
create function operator_data(reason text, actor text, more jsonb default '{}') returns jsonb
language sql stable
as $$ select jsonb_strip_nulls(jsonb_build_object(
    'by', coalesce(actor, session_user::text), 'user', case when actor <> session_user::text then session_user::text end, 'reason', reason) || more) $$;
comment on function operator_data is 'Who did something and why, for an event.';
-- +goose StatementEnd

-- +goose StatementBegin
-- own_producers(): the producers with whose right the caller enqueues: its database role, and those that it is
-- a member of. What was enqueued with these is its own. Locks nothing.
-- roles: producer, reader, operator, worker
create function own_producers() returns integer[]
language sql stable security definer set search_path from current
as $$
    select array(select p.id from producers p where pg_has_role(caller(), p.role_id, 'usage'))
$$;
comment on function own_producers is 'Producers with whose right the caller enqueues.';
-- +goose StatementEnd

-- +goose StatementBegin
-- own_tenants(with_payloads): the tenants whose jobs the caller may read, or those of which it may see payloads, too. Null: of
-- nobody in particular. Locks nothing.
-- roles: tenant
create function own_tenants(with_payloads boolean default false) returns text[]
language sql stable security definer set search_path from current
as $$
    select array_agg(distinct g.tenant)
    from grants g
    where g.class = 'reader'
      and g.tenant <> '*'
      and (g.payloads or not with_payloads)
      and pg_has_role(caller(), g.role_id, 'usage')
$$;
comment on function own_tenants is 'Tenants whose jobs the caller may read.';
-- +goose StatementEnd

-- +goose StatementBegin
-- park(queue_name, groups, turns, untils, vain): what becomes of the groups that a round of dealing has looked at: they get turns (null: keep theirs), wait for
-- room until a time (null: do not), and leave the line where no job of theirs is left. vain: none was to be had though there was room: others have
-- them locked, or they are held. Internal: deal_round, under the lock of deal. In a statement after the one that took jobs, to see what is left.
create function park(queue_name text, groups text[], turns double precision[], untils timestamptz[], vain boolean[]) returns void
language plpgsql -- keeps its plan
as $$
begin
    with looked as materialized (
        select b.tid, u.turn, u.until, u.vain,
               exists (select from waiting w
                       where w.role = 'turn' and w.queue = queue_name and w.group_name = u.name and w.kind = b.kind and w.priority = b.priority
                       offset 0) as any_left
        from unnest(groups, turns, untils, vain) u(name, turn, until, vain)
        cross join lateral (
            select x.ctid as tid, x.kind, x.priority, x.parked_until from backlogs x
            where x.queue = queue_name and x.group_name = u.name offset 0) b
        where b.parked_until is null -- not said inside, where all of the line would be walked along for each
    )
    update backlogs b
    set turn = coalesce(l.turn, b.turn),
        parked_until = case
            when not l.any_left then clock_timestamp() + interval '50 ms'
            when l.until is not null then l.until
            when l.vain then clock_timestamp() + interval '50 ms'
        end,
        emptied_at = case when not l.any_left then clock_timestamp() end
    from looked l
    where b.ctid = l.tid and (l.turn is not null or l.until is not null or l.vain or not l.any_left);
end
$$;
comment on function park is 'Moves groups on in line, or out of it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- pause_limit(scope, name, delay, reason, actor): keeps jobs of a queue, a kind or a group from starting for a time, as when a foreign service asks to
-- be left alone: running ones go on, and a longer pause stays. resume_limit ends it. Needs no limit. The pause of a group is of that name only.
-- actor is who does it, the session's user by default. Writes an event "paused" when a pause begins, of a longer one only where an actor is given:
-- workers make it longer all the time.
-- Raises PQ001 for a delay that is missing, not positive or above 366 days. Locks: the row of gates.
-- roles: worker, operator
create function pause_limit(scope text, name text, delay interval, reason text default null, actor text default null) returns void
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    until constant timestamptz := clock_timestamp() + greatest(interval '0', least(delay, interval '366 days'));
    was timestamptz;
begin
    perform check_scope(scope, name);
    if scope = 'group' then
        perform invalid(p.problem[1], p.problem[2]) from group_problem(name) p(problem) where p.problem is not null;
    end if;
    if delay is null or delay <= interval '0' or delay > interval '366 days' then
        perform invalid('delay', 'must be positive and at most 366 days');
    end if;
    select g.paused_until into was from gates g where g.scope = pause_limit.scope and g.name = pause_limit.name;
    insert into gates as g (scope, name, paused_until, paused_by, pause_reason)
    values (scope, name, until, coalesce(actor, session_user::text), reason)
    on conflict on constraint gates_pkey do update
    set paused_until = excluded.paused_until, paused_by = excluded.paused_by, pause_reason = excluded.pause_reason
    where g.paused_until is null or g.paused_until < excluded.paused_until;
    if not found then
        return;
    end if;
    if actor is not null or was is null or was < clock_timestamp() then
        perform record_operation('paused', case scope when 'queue' then name end,
            operator_data(reason, actor, jsonb_build_object('scope', scope, 'name', name, 'until', until)));
    end if;
end
$$;
comment on function pause_limit is 'Keeps jobs of a queue, a kind or a group from starting for a time.';
-- +goose StatementEnd

-- +goose StatementBegin
-- pause_queue(name, reason, actor): keeps jobs of a queue from being claimed; running ones go on. Returns whether it was not paused before: the
-- first pause's time stays, and a new reason, or actor, takes the place of those before. actor is who does it, the session's user by default.
-- Creates the queue. '*' cannot be paused. Writes an event "paused". Locks: the row of queues.
-- roles: operator
create function pause_queue(name text, reason text default null, actor text default null) returns boolean
language plpgsql security definer set search_path from current
as $$
declare
    was queues;
begin
    if coalesce(pause_queue.name, '*') = '*' or length(pause_queue.name) not between 1 and 128 then
        perform invalid('queue', 'must have 1 to 128 characters and not be "*"');
    end if;
    insert into queues (name) values (pause_queue.name) on conflict on constraint queues_pkey do nothing;
    select q.* into was from queues q where q.name = pause_queue.name for update;
    if was.paused_at is not null and reason is null and actor is null then
        return false;
    end if;
    update queues q
    set paused_at = coalesce(was.paused_at, now()), paused_by = coalesce(actor, session_user::text),
        pause_reason = coalesce(reason, was.pause_reason), updated_at = now()
    where q.name = pause_queue.name;
    perform record_operation('paused', pause_queue.name, operator_data(reason, actor));
    return was.paused_at is null;
end
$$;
comment on function pause_queue is 'Keeps jobs of a queue from being claimed; running ones go on. reason: for those who wonder. Returns whether it was not paused before.';
-- +goose StatementEnd

-- +goose StatementBegin
-- pause_schedule(name, reason, actor): keeps a schedule from firing; what it has enqueued goes on. Idempotent: the first pause's
-- time, reason and name stay. actor is who does it, the user of the session by default. Raises PQ004 when there is
-- none. Locks: its row.
-- roles: operator
create function pause_schedule(name text, reason text default null, actor text default null) returns void
language plpgsql security definer set search_path from current
as $$
begin
    if (find_schedule(pause_schedule.name)).paused_at is null then
        update schedules s
        set paused_at = now(), pause_reason = reason, paused_by = coalesce(pause_schedule.actor, session_user::text), fire_at = null, updated_at = now()
        where s.name = pause_schedule.name;
    end if;
end
$$;
comment on function pause_schedule is 'Keeps a schedule from firing.';
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
        pinned := pinned || array(select pin_ready(loose));
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
-- pin_queued(job_ids, exclusively): keeps jobs queued until the transaction ends, and returns those that are: claims pass them by. Internal:
-- take_keys, which does not want to wait for those that run.
-- Locks, shared unless exclusively (who will move them must not wait for others who share them): rows of waiting and scheduled by job,
-- of ready by key.
create function pin_queued(job_ids bigint[], exclusively boolean) returns setof bigint
language plpgsql
as $$
#variable_conflict use_column
begin
    return query select w.job_id from waiting w where w.job_id = any(job_ids) order by w.job_id for share;
    if exclusively then
        return query select s.job_id from scheduled s where s.job_id = any(job_ids) order by s.job_id for update;
    else
        return query select s.job_id from scheduled s where s.job_id = any(job_ids) order by s.job_id for share;
    end if;
    return query select id from pin_ready(job_ids, exclusively) id;
end
$$;
comment on function pin_queued is 'Keeps jobs queued until the transaction ends.';
-- +goose StatementEnd

-- +goose StatementBegin
-- pin_ready(job_ids, exclusively): keeps jobs in ready until the transaction ends, and returns those that are there. One may be missed
-- when somebody splits its run at the same moment: callers look again. Internal.
-- Locks, shared unless exclusively: rows of ready by key.
create function pin_ready(job_ids bigint[], exclusively boolean default false) returns setof bigint
language plpgsql
as $$
#variable_conflict use_column
begin
    if exclusively then
        return query
            select h.job_id
            from (select * from ready_rows(job_ids) order by queue, priority, seq) h
            cross join lateral (
                select from ready x where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq offset 0 for update) r;
    else
        return query
            select h.job_id
            from (select * from ready_rows(job_ids) order by queue, priority, seq) h
            cross join lateral (
                select from ready x where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq offset 0 for share) r;
    end if;
end
$$;
comment on function pin_ready is 'Keeps jobs in ready until the transaction ends.';
-- +goose StatementEnd

-- +goose StatementBegin
-- places(job_ids): where jobs are, all in one snapshot, so that each is in exactly one place:
-- a state of job_states, or not_found; ready is also one that waits for its turn. Internal: the operators' verbs look, act, and look again at what moved.
create function places(job_ids bigint[]) returns table (job_id bigint, place text)
language plpgsql stable
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
        select u.id, case when t.job_id is not null then 'ready' else coalesce(s.state, 'not_found') end
        from (select distinct id from unnest(job_ids) id where id is not null) u
        left join lateral (select j.state from job_states j where j.id = u.id offset 0) s on true
        left join lateral (select w.job_id from waiting w where w.job_id = u.id and w.role = 'turn' and s.state = 'waiting' offset 0) t on true
        order by u.id;
end
$$;
comment on function places is 'Where jobs are, in one snapshot.';
-- +goose StatementEnd

-- +goose StatementBegin
-- plan_schedule(schedule): what is to be done about a schedule that the chores look at: which times are to fire, which jobs are to be
-- cancelled before, which times are overlapped by jobs that have not ended and are dropped, which one waits for these, which were
-- missed, and when it is due and looked at next. Internal: fire_schedules, which holds its row.
create function plan_schedule(
    schedule schedules,
    out fire timestamptz[], out cancels bigint[], out overlapped timestamptz[], out queued_at timestamptz, out missed_at timestamptz,
    out next_at timestamptz, out fire_at timestamptz)
language plpgsql stable
as $$
declare
    due record;
    alive bigint[];
begin
    due := schedule_due(schedule);
    fire := due.fire;
    missed_at := due.missed_at;
    next_at := due.next_at;
    if schedule.overlap <> 'allow' and (fire <> '{}' or schedule.queued_at is not null) then
        alive := schedule_alive(schedule.name);
        if schedule.overlap = 'cancel' then
            cancels := alive;
            overlapped := fire[:cardinality(fire) - 1];
            fire := fire[cardinality(fire):];
        elsif schedule.overlap = 'skip' then
            overlapped := case when alive <> '{}' then fire else fire[2:] end;
            fire := case when alive <> '{}' then '{}' else fire[:1] end;
        else
            fire := schedule.queued_at || fire;
            fire := array_remove(fire, null);
            if alive <> '{}' then
                queued_at := fire[1];
                overlapped := fire[2:];
                fire := '{}';
            else
                queued_at := fire[2];
                overlapped := fire[3:];
                fire := fire[:1];
            end if;
        end if;
        if next_at is null and overlapped <> '{}' then -- which do not count as runs
            next_at := schedule_next(schedule, greatest(overlapped[cardinality(overlapped)], fire[cardinality(fire)], queued_at));
        end if;
    end if;
    if schedule.runs + cardinality(fire) >= schedule.max_runs then
        fire := fire[:schedule.max_runs - schedule.runs];
        queued_at := null;
        next_at := null;
    end if;
    fire_at := least(jittered(schedule.name, next_at, schedule.jitter), case when queued_at is not null then now() + interval '1 s' end);
end
$$;
comment on function plan_schedule is 'What is to be done about a schedule.';
-- +goose StatementEnd

-- +goose StatementBegin
-- preview_times(spec, zone, at_most, after): the next times at which a schedule would be due; see next_time. At most 1,000.
-- roles: producer, worker, operator, reader
create function preview_times(
    spec text, zone text default 'UTC', at_most integer default 10, after timestamptz default now()) returns setof timestamptz
language plpgsql stable security definer set search_path from current
as $$
declare
    due timestamptz := next_time(spec, zone, after);
    rule record;
begin
    if at_most is null or at_most not between 1 and 1000 then
        perform invalid('at_most', 'must be 1 to 1000');
    end if;
    rule := read_spec(spec, zone);
    for n in 1 .. at_most loop
        exit when due is null;
        return next due;
        due := time_after(rule.fields, rule.period, rule.once_at, zone, after, due);
    end loop;
end
$$;
comment on function preview_times is 'The next times at which a schedule would be due.';
-- +goose StatementEnd

-- +goose StatementBegin
-- promote(at_most, since): makes up to at_most scheduled jobs ready whose time has come, soonest first, and wakes
-- workers. It looks from the time since on: do_chores mostly begins a little before where it stopped, so that
-- dead rows that a long transaction elsewhere keeps are not walked each time.
-- Returns how many, and the time of the last one. Locks: rows of scheduled, skipping those that others have locked.
-- roles: worker, operator
create function promote(
    at_most integer default 1000, since timestamptz default '-infinity', out promoted integer, out up_to timestamptz)
language plpgsql security definer set search_path from current
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
            limit within('at_most', at_most, 0, 1000000)
            for update skip locked))
        returning job_id, run_at, attempt
    ), added as (
        insert into ready (queue, priority, seq, job_id, attempt, kind, since)
        select j.queue, j.priority, nextval('jobs_id_seq'), j.id, d.attempt, j.kind, now()
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
            where exists (select from edges e where e.parent_id = id offset 0)
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
-- roles: worker, operator
create function propagate_frontier(at_most integer default 500) returns integer
language plpgsql security definer set search_path from current
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
              order by parent_id, first_child limit within('at_most', at_most, 0, 1000000) for update skip locked) f
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
-- prune(at_most, by_hand, reason, actor): deletes up to about at_most finished jobs of each sort that were kept for as long as their queue
-- says (keep_completed ...) or as their result_ttl says, DAGs with all their nodes, subscribers that are past, and events (prune_events).
-- Failed jobs that have stopped their sequence are kept until that goes on. Completed jobs are found by walk_completed, the others by their index. Returns how many jobs were deleted. by_hand: writes an
-- event "operated", with actor, the session's user by default, and reason.
-- roles: worker, operator
create function prune(at_most integer default 1000, by_hand boolean default false, reason text default null, actor text default null) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    due bigint[];
begin
    perform within('at_most', at_most, 0, 1000000);
    due := walk_completed(at_most) || array(
        select f.job_id from results f where f.expires_at <= now() and not exists (select from sequences s where s.job_id = f.job_id offset 0)
        order by f.expires_at limit at_most);
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
              and (f.state <> 'failed' or not exists (select from sequences h where h.job_id = f.job_id offset 0))
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

    perform prune_keys(at_most);

    perform prune_events(10 * at_most);
    delete from subscribers where alive_until < now() - interval '1 hour';
    if by_hand and due <> '{}' then
        perform record_operation('operated', null, operator_data(reason, actor, jsonb_build_object(
            'verb', 'prune', 'user', session_user, 'outcomes', jsonb_build_object('deleted', cardinality(due)))));
    end if;
    return cardinality(due);
end
$$;
comment on function prune is 'Deletes finished jobs that were kept long enough.';
-- +goose StatementEnd

-- +goose StatementBegin
-- prune_events(at_most): deletes events that were kept for long enough: as long as the results of the queue that keeps them longest,
-- and, while a consumer has not read them, for as long as its keep says. Looks at the oldest at_most events, by id. Consumers that had
-- not read what is deleted are marked (lost_at). Returns how many were deleted.
-- roles: worker, operator
create function prune_events(at_most integer default 10000) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
declare
    longest constant interval := (select max(greatest(keep_completed, keep_failed, keep_cancelled, keep_expired)) from queues);
    past bigint[];
begin
    if at_most is null or at_most < 1 then
        perform invalid('at_most', 'must be at least 1');
    elsif not exists (select from (select e.at from events e order by e.id limit 1) e where e.at < now() - longest) then
        return 0;
    end if;
    past := array(
        select e.id from (select * from events order by events.id limit at_most) e
        where e.at < now() - longest
          and not exists (select from consumers c where e.at >= now() - c.keep and is_unread(c, e.xid, e.id)
                          and (c.queues is null or e.queue = any(c.queues)) and (c.types is null or e.type = any(c.types))));
    update consumers c set lost_at = now()
    where exists (select from events e where e.id = any(past) and is_unread(c, e.xid, e.id)
                  and (c.queues is null or e.queue = any(c.queues)) and (c.types is null or e.type = any(c.types)));
    delete from events e where e.id = any(past);
    return cardinality(past);
end
$$;
comment on function prune_events is 'Deletes events that were kept long enough.';
-- +goose StatementEnd

-- +goose StatementBegin
-- prune_finished(older_than, ...): deletes jobs that ended longer ago than older_than, whatever their queue says of how long they are
-- kept; DAGs with all their nodes, but none that has stopped its sequence. Filters, null for any: queues, states. It goes along the ids from after on, looks at 20 times
-- at_most of them at most, and deletes at_most at most; dry: only counts. Returns how many jobs were deleted (nodes are not
-- counted), where to go on, null: that was all, and which ones. Writes an event "operated", as change_jobs does: actor is who does it, the session's user by
-- default. Locks: rows of results, skipping those that others have locked.
-- roles: operator
create function prune_finished(
    older_than interval, queues text[] default null, states text[] default null, after bigint default 0, at_most integer default 1000,
    dry boolean default false, reason text default null, actor text default null,
    out deleted integer, out next_after bigint, out job_ids bigint[])
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    due bigint[];
begin
    if older_than is null or older_than not between interval '0' and interval '1000 years' then
        perform invalid('older_than', 'must be 0 to 1000 years');
    elsif at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    elsif exists (select from unnest(states) s where s is null or s not in ('completed', 'failed', 'cancelled', 'skipped', 'expired')) then
        perform invalid('states', 'must be completed, failed, cancelled, skipped or expired');
    end if;
    with looked_at as materialized (
        select f.job_id, f.finished_at, f.queue, f.state, f.dag_id from results f where f.job_id > after order by f.job_id limit at_most * 20
    ), fit as (
        select l.job_id from looked_at l
        where l.dag_id is null and not exists (select from sequences s where s.job_id = l.job_id offset 0) and l.finished_at < now() - older_than
          and (queues is null or l.queue = any(queues)) and (states is null or l.state = any(states))
        order by l.job_id limit at_most
    )
    select coalesce(array_agg(f.job_id), '{}'),
           case when count(*) = at_most then max(f.job_id) when (select count(*) from looked_at) = at_most * 20 then (select max(job_id) from looked_at) end
    into due, next_after
    from fit f;
    deleted := cardinality(due);
    job_ids := due;
    if dry then
        return;
    end if;
    with locked as materialized (
        select ctid as tid from results
        where job_id = any(due) and job_id <> all(untold_jobs()) and not exists (select from sequences s where s.job_id = results.job_id offset 0)
        order by job_id for update skip locked
    ), removed as (
        delete from results f where f.ctid = any(array(select tid from locked)) returning f.job_id
    )
    select coalesce(array_agg(job_id), '{}') into due from removed;
    perform forget(due || forget_members(due));
    deleted := cardinality(due);
    job_ids := array(select id from unnest(due) id order by id);
    if deleted > 0 then
        perform record_operation('operated', case when cardinality(queues) = 1 then queues[1] end, operator_data(reason, actor, jsonb_build_object(
            'verb', 'prune', 'user', session_user, 'filter', jsonb_build_object('older_than', older_than, 'queues', queues, 'states', states),
            'outcomes', jsonb_build_object('deleted', deleted), 'first', job_ids[1], 'last', job_ids[deleted])));
    end if;
end
$$;
comment on function prune_finished is 'Deletes jobs that ended long ago, by hand.';
-- +goose StatementEnd

-- +goose StatementBegin
-- prune_keys(at_most): looks at the next so many unique keys, in their order, and deletes those that stand for no job any more and bar
-- nobody: jobs may go sooner than what their keys hold, and forget_keys may find them locked. Internal: prune.
-- Locks: rows of unique_keys, skipping those others have locked.
create function prune_keys(at_most integer) returns void
language plpgsql
as $$
declare
    seen text[];
begin
    if not exists (select from unique_keys) then
        return;
    end if;
    seen := array(
        select u.key from unique_keys u
        where u.key > (select c.key from chores c where c.name = 'prune')
        order by u.key limit at_most);
    update chores set key = case when cardinality(seen) < at_most then '' else seen[cardinality(seen)] end where name = 'prune';
    delete from unique_keys
    where key = any(array(
        select u.key from unique_keys u
        where u.key = any(seen) and coalesce(u.holds_until <= now(), true)
          and not exists (select from jobs j where j.id = u.job_id offset 0)
        for update skip locked));
end
$$;
comment on function prune_keys is 'Deletes unique keys that stand for no job any more.';
-- +goose StatementEnd

-- +goose StatementBegin
-- put_off_missed(parents, first_children, last_children, missed): leaves children to the frontier whose rows of waiting others had
-- locked. Those that wait no more need no news. Internal: deliver. Returns whether any was left.
-- Locks: rows of frontier that hold the same children.
create function put_off_missed(parents bigint[], first_children bigint[], last_children bigint[], missed bigint[]) returns boolean
language sql
as $$
    with added as (
        insert into frontier (parent_id, first_child, last_child)
        select e.parent_id, e.child_id, e.child_id
        from unnest(parents, first_children, last_children) p(id, first_child, last_child)
        cross join lateral (
            select parent_id, child_id
            from edges
            where parent_id = p.id and child_id between p.first_child and p.last_child and child_id = any(missed)
            offset 0) e
        -- Not "exists", which the planner may turn into a join that walks all of waiting.
        where (select true from waiting w where w.job_id = e.child_id)
        on conflict (parent_id, first_child) do update set last_child = greatest(frontier.last_child, excluded.last_child)
        returning 1
    )
    select exists (select from added)
$$;
comment on function put_off_missed is 'Leaves children to the frontier that others had locked.';
-- +goose StatementEnd

-- +goose StatementBegin
-- put_off_wide(parents, first_children, last_children, at_once): leaves the children of each parent beyond the first at_once to the
-- frontier. Internal: deliver. Returns the last children that are to be told now.
-- Locks: rows of frontier that hold the same children.
create function put_off_wide(parents bigint[], first_children bigint[], last_children bigint[], at_once integer) returns bigint[]
language sql
as $$
    with wide as materialized (
        select p.place, p.id, p.last_child, e.child_id
        from unnest(parents, first_children, last_children) with ordinality p(id, first_child, last_child, place)
        cross join lateral (
            select child_id
            from edges
            where parent_id = p.id and child_id between p.first_child and p.last_child
            order by child_id
            offset at_once limit 1) e
    ), added as (
        insert into frontier (parent_id, first_child, last_child)
        select id, child_id, last_child from wide
        on conflict (parent_id, first_child) do update set last_child = greatest(frontier.last_child, excluded.last_child)
    )
    select array_agg(coalesce(w.child_id - 1, p.last_child) order by p.place)
    from unnest(last_children) with ordinality p(last_child, place)
    left join wide w using (place)
$$;
comment on function put_off_wide is 'Leaves children of wide parents to the frontier.';
-- +goose StatementEnd

-- +goose StatementBegin
-- put_ready(job_ids, attempts): makes jobs ready again, each with a new seq, and wakes workers. Internal: the
-- caller has just taken the jobs from where they were.
create function put_ready(job_ids bigint[], attempts integer[]) returns void
language plpgsql
as $$
begin
    insert into ready (queue, priority, seq, job_id, attempt, kind, since)
    select j.queue, j.priority, nextval('jobs_id_seq'), j.id, u.attempt, j.kind, now()
    from unnest(job_ids, attempts) u(id, attempt)
    cross join lateral (select * from jobs where jobs.id = u.id offset 0) j;
    perform wake(array(select distinct j.queue from jobs j where j.id = any(job_ids)));
end
$$;
comment on function put_ready is 'Makes jobs ready again.';
-- +goose StatementEnd

-- +goose StatementBegin
-- put_turns(job_ids, seqs, attempts, sinces): lets jobs wait for their turn; sinces: when they became ready, null: when they were created.
-- Internal: the caller has just taken them from where they were, or added them.
create function put_turns(job_ids bigint[], seqs bigint[], attempts integer[], sinces timestamptz[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    put record;
begin
    with added as (
        insert into waiting (job_id, queue, role, pending, need_ok, need_failed, max_failed, max_skipped, attempt, group_name, kind, priority, seq, since)
        select j.id, j.queue, 'turn', 1, 0, 0, 0, 0, u.attempt, coalesce(j.group_name, ''), j.kind, j.priority, u.seq, u.since
        from unnest(job_ids, seqs, attempts, sinces) u(id, seq, attempt, since)
        cross join lateral (select id, queue, group_name, kind, priority from jobs where jobs.id = u.id offset 0) j
        returning queue, group_name, kind, priority
    )
    select array_agg(queue) as queues, array_agg(group_name) as groups, array_agg(kind) as kinds,
           array_agg(priority) as priorities
    into put
    from (select distinct queue, group_name, kind, priority from added) a;
    perform add_backlogs(put.queues, put.groups, put.kinds, put.priorities);
end
$$;
comment on function put_turns is 'Lets jobs wait for their turn.';
-- +goose StatementEnd

-- +goose StatementBegin
-- queue_depth(queue_name, at_most): how many jobs of a queue wait to be started (ready, scheduled, or
-- until it is their turn),
-- counted up to at_most, so that the cost is bounded by it.
create function queue_depth(queue_name text, at_most bigint) returns bigint
language sql stable
set jit = off set enable_seqscan = off
as $$
    select least(at_most,
        (select coalesce(sum(size), 0)
         from (select size from ready where queue = queue_name limit at_most) r)
        + (select count(*)
           from (select from scheduled where queue = queue_name limit at_most) s)
        + (select count(*)
           from (select from waiting where role = 'turn' and queue = queue_name limit at_most) w))
$$;
comment on function queue_depth is 'Jobs of a queue that wait to be started, counted up to a bound.';
-- +goose StatementEnd

-- +goose StatementBegin
-- queue_figures(at_most): what the view queue_states says: one row per queue that is registered or holds jobs.
-- Counted up to at_most rows per queue and table, fewer when there are many queues (some 20,000 rows of a table are walked at the
-- most); what is more is an estimate from 100 pages of the table (sampled_jobs), and exact is false. So the cost does not grow
-- with the number of jobs. Stable: all is counted in one snapshot. Locks nothing.
--
-- oldest_ready_at looks at the first job of each priority: the time at which it was enqueued or, when it became ready later, since then.
-- roles: operator, reader
create function queue_figures(at_most integer default 10000)
returns table (
    queue text, depth bigint, ready bigint, scheduled bigint, waiting bigint, running bigint, exact boolean,
    oldest_ready_at timestamptz, oldest_ready_age interval, next_run_at timestamptz,
    paused boolean, paused_at timestamptz, pause_reason text, max_depth bigint, workers bigint, age_every interval, paused_by text)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pages constant integer := 100;
    sample constant bigint := pages * current_setting('block_size')::bigint; -- bytes: tables that have no more are read as a whole
    names constant text[] := array(select n from queue_names() n);
    bound constant integer := greatest(100, least(at_most, 20000 / greatest(1, cardinality(names))));
begin
    return query
        with sampled as materialized (
            select p.queue, sum(p.jobs) filter (where p.state = 'ready') as ready, sum(p.jobs) filter (where p.state = 'scheduled') as scheduled,
                   sum(p.jobs) filter (where p.state = 'waiting') as waiting, sum(p.jobs) filter (where p.state = 'running') as running
            from (
                select * from sampled_jobs('ready', pages)
                union all
                select * from sampled_jobs('scheduled', pages)
                union all
                select * from sampled_jobs('waiting', pages)
                union all
                select r.queue, 'running', count(*), true from running r group by 1) p
            group by 1
        ), serving as materialized (
            select q as queue, count(distinct w.id) as workers
            from workers w, unnest(w.queues) q
            where w.dead_at is null and w.heartbeat_at > statement_timestamp() - w.lease
            group by 1
        ), counted as materialized (
            select n.queue, r.jobs as ready, r.rows <= bound as ready_exact, s.jobs as scheduled, s.jobs <= bound as scheduled_exact
            from unnest(names) n(queue)
            cross join lateral (
                select coalesce(sum(t.size), 0) as jobs, count(*) as rows
                from (select r.size from ready r where r.queue = n.queue limit bound + 1) t) r
            cross join lateral (
                select count(*) as jobs from (select from scheduled s where s.queue = n.queue limit bound + 1) t) s
        ), figures as materialized (
            select queue,
                   coalesce(case when c.ready_exact then c.ready else greatest(c.ready, round(s.ready)) end, s.ready, 0)::bigint as ready,
                   coalesce(case when c.scheduled_exact then c.scheduled else greatest(c.scheduled, round(s.scheduled)) end, s.scheduled, 0)::bigint as scheduled,
                   coalesce(round(s.waiting), 0)::bigint as waiting,
                   coalesce(s.running, 0)::bigint as running,
                   (coalesce(c.ready_exact, pg_relation_size('ready') <= sample) and coalesce(c.scheduled_exact, pg_relation_size('scheduled') <= sample)
                    and pg_relation_size('waiting') <= sample) as exact
            from sampled s
            full join counted c using (queue)
        )
        select f.queue, f.ready + f.scheduled, f.ready, f.scheduled, f.waiting, f.running, f.exact,
               o.at, statement_timestamp() - o.at,
               (select s.run_at from scheduled s where s.queue = f.queue order by s.run_at limit 1),
               q.paused_at is not null, q.paused_at, q.pause_reason, y.max_depth, coalesce(v.workers, 0), y.age_every, q.paused_by
        from figures f
        left join queues q on q.name = f.queue
        cross join lateral settings_of(f.queue) y
        left join serving v on v.queue = f.queue
        cross join lateral (
            select min(greatest(
                       coalesce(h.since, (select j.created_at from jobs j where j.id = h.job_id)),
                       (select max(e.finished_at)
                        from (select (select p.finished_at from results p where p.job_id = e.parent_id) as finished_at
                              from edges e where e.child_id = h.job_id limit 1000) e))) as at
            from generate_series(0, 9) p
            cross join lateral (
                select r.since, r.job_id from ready r where r.queue = f.queue and r.priority = p order by r.seq limit 1) h) o
        order by f.queue;
end
$$;
comment on function queue_figures is 'What the view queue_states says, with a bound of one''s own for what is counted: beyond at_most rows per queue and table figures are estimates.';
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
-- queue_room(queue_name, wanted): how many jobs of a queue may start now, wanted at the most, by the limit, the pause and the circuit
-- breaker of the queue as a whole; 0 as well while somebody else deals. at: when they begin. Until the transaction ends nobody else is told of any room. Internal: claim.
-- Locks: the advisory lock "deal", if it is free.
create function queue_room(queue_name text, wanted integer, out room integer, out at timestamptz)
language plpgsql
as $$
begin
    room := 0;
    if not pg_try_advisory_xact_lock(advisory_key('deal')) then
        return;
    end if;
    at := clock_timestamp();
    perform tend_breakers();
    room := coalesce((
        select greatest(0, least(
            wanted,
            l.max_running - case when l.max_running is not null then (select count(*) from running r where r.queue = queue_name) end,
            floor(tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, queue_room.at)),
            gate_room(g.paused_until, g.opened_at, g.probe_at, g.probe_id, queue_room.at)))
        from (select) one
        left join limits l on l.scope = 'queue' and l.name = queue_name
        left join gates g on g.scope = 'queue' and g.name = queue_name), wanted);
end
$$;
comment on function queue_room is 'How many jobs of a queue may start now.';
-- +goose StatementEnd

-- +goose StatementBegin
-- queue_settings(queue_name): the settings in force for a queue: its own, else those of '*'. One row always.
-- roles: producer, worker, operator, reader
create function queue_settings(queue_name text)
returns table (
    paused boolean, max_depth bigint, warn_depth bigint, max_args_bytes bigint, max_attempts integer,
    timeout interval, backoff jsonb, keep_completed interval, keep_failed interval,
    keep_cancelled interval, keep_expired interval, events text, age_every interval)
language sql stable security definer set search_path from current
as $$ select * from settings_of(queue_name) $$;
comment on function queue_settings is 'Settings in force for a queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- queue_work(queue, at_most): what there is still to do in a queue, counted up to at_most each: ready jobs, those that
-- are due (scheduled, their time has come), later ones, those that wait for other jobs, running ones; and whether it is paused.
-- Reads all leases. One row always.
-- roles: worker, operator, reader
create function queue_work(queue text, at_most integer default 10000)
returns table (ready bigint, due bigint, later bigint, waiting bigint, running bigint, paused boolean)
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
    with bound as materialized (
        select within('at_most', at_most, 0, 1000000) as most
    )
    select least(at_most, (select coalesce(sum(r.size), 0) from (select size from ready r where r.queue = queue_work.queue limit (select most from bound)) r)),
           (select count(*) from (select from scheduled s where s.queue = queue_work.queue and s.run_at <= now() limit (select most from bound)) s),
           (select count(*) from (select from scheduled s where s.queue = queue_work.queue and s.run_at > now() limit (select most from bound)) s),
           (select count(*) from (select from waiting w where w.queue = queue_work.queue and w.role is null limit (select most from bound)) w),
           (select count(*) from (select from running r where r.queue = queue_work.queue limit (select most from bound)) r),
           exists (select from queues q where q.name = queue_work.queue and q.paused_at is not null)
$$;
comment on function queue_work is 'What there is still to do in a queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- queues_in_turn(): the queues in which jobs wait for their turn, or did a moment ago. Internal. From one to the next along an index.
create function queues_in_turn() returns setof text
language sql stable
as $$
    with recursive place as (
        (select b.queue from backlogs b order by b.queue limit 1)
        union all
        select n.*
        from place p
        cross join lateral (select b.queue from backlogs b where b.queue > p.queue order by b.queue limit 1) n
    )
    select p.queue from place p
$$;
comment on function queues_in_turn is 'Queues in which jobs wait for their turn.';
-- +goose StatementEnd

-- +goose StatementBegin
-- queues_named(jobs, base): the queues that a JSON array of jobs or nodes names, those of their callbacks included; base is that of jobs which name
-- none. Whatever else is in the array: rights are asked for before it is looked at, since what is said of it could tell, for one, which kinds there
-- are. Internal: whatever enqueues what is given as JSON.
create function queues_named(jobs jsonb, base text) returns text[]
language sql immutable
as $$
    select array(
        select coalesce(j.value ->> 'queue', base) from jsonb_path_query(jobs, '$[*] ? (@.type() == "object")') j(value)
        union
        select coalesce(c.value ->> 'queue', 'default') from jsonb_path_query(jobs, '$[*].callbacks.* ? (@.type() == "object")') c(value))
$$;
comment on function queues_named is 'The queues that jobs and their callbacks name.';
-- +goose StatementEnd

-- +goose StatementBegin
-- read_cron(expression): a cron expression of five fields, or six with seconds in front, or a macro, as masks of seconds, minutes,
-- hours, days of the month, months, days of the week (0 is Sunday), and which of these are wildcards (1 hours, 2 days of the
-- month, 4 days of the week); or what is wrong with it. Internal: read_spec.
create function read_cron(expression text, out fields bigint[], out problem text)
language plpgsql immutable
as $$
declare
    text constant text := case lower(expression)
        when '@yearly' then '0 0 1 1 *' when '@annually' then '0 0 1 1 *' when '@monthly' then '0 0 1 * *'
        when '@weekly' then '0 0 * * 0' when '@daily' then '0 0 * * *' when '@midnight' then '0 0 * * *'
        when '@hourly' then '0 * * * *' else expression end;
    parts text[] := regexp_split_to_array(text, '[ \t]+');
    part record;
    wilds bigint := 0;
begin
    if text like '@%' then
        problem := format('has no macro %s: there are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly', to_json(left(text, 60)));
        return;
    elsif upper(text) ~ '^(CRON_)?TZ=' then
        problem := 'must not name a time zone: that is the field zone';
        return;
    elsif cardinality(parts) not in (5, 6) then
        problem := format('must have 5 fields, or 6 with seconds in front, not %s: minute, hour, day of month, month, day of week', cardinality(parts));
        return;
    elsif cardinality(parts) = 5 then
        parts := array['0'] || parts;
    end if;
    for part in
        select f.place, r.mask, r.wild, r.problem
        from (values (1, 'second', 0, 59, null::text[]), (2, 'minute', 0, 59, null), (3, 'hour', 0, 23, null), (4, 'day of month', 1, 31, null),
                     (5, 'month', 1, 12, '{JAN,FEB,MAR,APR,MAY,JUN,JUL,AUG,SEP,OCT,NOV,DEC}'),
                     (6, 'day of week', 0, 7, '{SUN,MON,TUE,WED,THU,FRI,SAT}')) f(place, name, low, high, names)
        cross join lateral cron_field(f.name, parts[f.place], f.low, f.high, f.names) r
        order by f.place
    loop
        if part.problem is not null then
            fields := null;
            problem := part.problem;
            return;
        end if;
        fields[part.place] := part.mask;
        wilds := wilds | case when part.wild then case part.place when 3 then 1 when 4 then 2 when 6 then 4 else 0 end else 0 end;
    end loop;
    fields[7] := wilds;
    -- A day of the month alone may be one that no month of the expression has.
    if wilds & 6 = 4 and not exists (
        select from generate_series(1, 12) month
        where fields[5] >> month & 1 = 1
          and next_bit(fields[4], 1) <= case month when 2 then 29 when 4 then 30 when 6 then 30 when 9 then 30 when 11 then 30 else 31 end)
    then
        fields := null;
        problem := 'never comes: none of its months has such a day';
    end if;
end
$$;
comment on function read_cron is 'A cron expression as masks.';
-- +goose StatementEnd

-- +goose StatementBegin
-- read_events(after_id, gaps, at_most): events behind after_id, and those among gaps that have been committed
-- meanwhile (ids drawn by transactions that were still open when their successors were read). In order of id.
-- roles: operator, reader
create function read_events(after_id bigint, gaps bigint[] default '{}', at_most integer default 1000)
returns table (id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
    select e.id, e.job_id, e.queue, e.type, e.attempt, e.worker_id, e.at, e.data,
           coalesce(j.kind, case e.type when 'deleted' then e.data ->> 'kind' end)
    from (
        select * from events where id = any(gaps)
        union all
        (select * from events where id > after_id order by id limit within('at_most', at_most, 0, 1000000))
    ) e
    left join jobs j on j.id = e.job_id
    order by e.id
$$;
comment on function read_events is 'Events behind an id.';
-- +goose StatementEnd

-- +goose StatementBegin
-- read_filter(filter): the fields of a filter of jobs as one row; null means not given. Internal: select_jobs, which says
-- what the fields mean, list_failures, job_stats. Raises PQ001 naming the field that is not known or cannot be read, 42501 for args and
-- paths where the caller sees no payloads.
create function read_filter(filter jsonb)
returns table (
    queues text[], kinds text[], states text[], tags text[], fingerprints text[], ids bigint[], workers bigint[], dags bigint[],
    since timestamptz, until timestamptz, args jsonb, metadata jsonb, error text, after bigint, before bigint,
    path_keys jsonb, path_values jsonb, groups text[])
language plpgsql stable
as $$
declare
    known constant jsonb := '{"queues": "text[]", "kinds": "text[]", "states": "text[]", "tags": "text[]", "fingerprints": "text[]",
        "ids": "bigint[]", "workers": "bigint[]", "dags": "bigint[]", "since": "timestamptz", "until": "timestamptz",
        "args": "jsonb", "metadata": "jsonb", "error": "text", "after": "bigint", "before": "bigint", "paths": "paths",
        "groups": "text[]"}';
    entry record;
    type text;
begin
    if jsonb_typeof(filter) is distinct from 'object' then
        perform invalid('filter', 'must be a JSON object');
    end if;
    for entry in select e.key, e.value, jsonb_typeof(e.value) as given from jsonb_each(filter) e order by e.key loop
        type := known ->> entry.key;
        if type is null then
            perform invalid(entry.key, 'is not a field of a filter of jobs');
        elsif entry.given = 'null' or type = 'jsonb' then
            continue;
        elsif type like '%[]' then
            if entry.given <> 'array' or exists (
                select from jsonb_array_elements(case entry.given when 'array' then entry.value else '[]' end) e
                where jsonb_typeof(e) <> case type when 'text[]' then 'string' else 'number' end
                   or (type = 'bigint[]' and (e::text !~ '^-?\d{1,19}$' or abs(e::text::numeric) > 9223372036854775807))) then
                perform invalid(entry.key, case type when 'text[]' then 'must be an array of strings' else 'must be an array of ids' end);
            end if;
        elsif type = 'bigint' then
            if entry.given <> 'number' or entry.value::text !~ '^-?\d{1,19}$' or abs(entry.value::text::numeric) > 9223372036854775807 then
                perform invalid(entry.key, 'must be the id of a job');
            end if;
        elsif type = 'paths' then
            if entry.given <> 'array' or exists (
                select from jsonb_array_elements(case entry.given when 'array' then entry.value else '[]' end) e
                where jsonb_typeof(e) <> 'object'
                   or (select array_agg(k order by k) from jsonb_object_keys(case jsonb_typeof(e) when 'object' then e else '{}' end) k)
                      is distinct from '{in,path}'
                   or jsonb_typeof(e -> 'path') <> 'array' or jsonb_typeof(e -> 'in') <> 'array'
                   or exists (select from jsonb_array_elements(case jsonb_typeof(e -> 'path') when 'array' then e -> 'path' else '[]' end) s
                              where jsonb_typeof(s) <> 'string')) then
                perform invalid('paths', 'must be an array of {"path": [strings], "in": [values]}');
            end if;
        elsif entry.given <> 'string' then
            perform invalid(entry.key, case type when 'text' then 'must be a string' else 'must be a time, as a string' end);
        elsif type = 'timestamptz' then
            begin
                perform (entry.value #>> '{}')::timestamptz;
            exception when data_exception then
                perform invalid(entry.key, 'cannot be read as a time');
            end;
        end if;
    end loop;
    if filter -> 'states' <> 'null' and exists (
        select from jsonb_array_elements_text(filter -> 'states') s
        where s not in ('waiting', 'scheduled', 'ready', 'running', 'completed', 'failed', 'cancelled', 'skipped', 'expired')) then
        perform invalid('states', 'must be waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired');
    end if;
    if (nullif(filter -> 'args', 'null') is not null or nullif(filter -> 'paths', 'null') is not null) and not sees_payloads() then
        raise exception using errcode = '42501', message = 'permission denied to filter by args';
    end if;
    return query
        select r.queues, r.kinds, r.states, r.tags, r.fingerprints, r.ids, r.workers, r.dags, r.since, r.until,
               nullif(filter -> 'args', 'null'), nullif(filter -> 'metadata', 'null'), r.error, r.after, r.before,
               p.keys, p.allowed, r.groups
        from jsonb_to_record(filter - '{args,metadata,paths}'::text[]) as r(
                 queues text[], kinds text[], states text[], tags text[], fingerprints text[], ids bigint[], workers bigint[],
                 dags bigint[], since timestamptz, until timestamptz, error text, after bigint, before bigint, groups text[]),
             lateral (select jsonb_agg(e -> 'path') as keys, jsonb_agg(e -> 'in') as allowed
                      from jsonb_array_elements(case jsonb_typeof(filter -> 'paths') when 'array' then filter -> 'paths' else '[]' end) e) p;
end
$$;
comment on function read_filter is 'The fields of a filter of jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- read_settings(verb, settings): the settings of a verb as one row. Internal: change_jobs. Raises PQ001 for a verb or a
-- setting that is not known, is missing, or cannot be read; what the values may be, the verbs say.
create function read_settings(verb text, settings jsonb)
returns table (queue text, run_at timestamptz, priority integer, rate double precision, start_at timestamptz)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    known constant jsonb := '{"cancel": [], "retry": ["rate", "start_at"], "delete": ["rate"], "move": ["queue"], "reschedule": ["run_at"],
        "set_priority": ["priority"]}';
    entry record;
begin
    if known -> verb is null then
        perform invalid('verb', 'must be cancel, retry, delete, move, reschedule or set_priority');
    elsif jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    end if;
    for entry in select e.key, e.value, jsonb_typeof(e.value) as given from jsonb_each(settings) e loop
        if not known -> verb ? entry.key then
            perform invalid(entry.key, format('is not a setting of %s', verb));
        elsif entry.given = 'null' then
            continue;
        elsif entry.given <> (case when entry.key in ('priority', 'rate') then 'number' else 'string' end) then
            perform invalid(entry.key, case when entry.key in ('priority', 'rate') then 'must be a number' else 'must be a string' end);
        end if;
        begin
            case entry.key
                when 'priority' then priority := (entry.value #>> '{}')::integer;
                when 'rate' then rate := (entry.value #>> '{}')::double precision;
                when 'run_at' then run_at := (entry.value #>> '{}')::timestamptz;
                when 'start_at' then start_at := (entry.value #>> '{}')::timestamptz;
                when 'queue' then queue := entry.value #>> '{}';
            end case;
        exception when data_exception then
            perform invalid(entry.key, 'cannot be read');
        end;
    end loop;
    if rate not between 0.001 and 1000000 then
        perform invalid('rate', 'must be 0.001 to 1000000 per second');
    elsif not isfinite(start_at) then
        perform invalid('start_at', 'must be finite');
    end if;
    return next;
end
$$;
comment on function read_settings is 'The settings of a verb.';
-- +goose StatementEnd

-- +goose StatementBegin
-- read_spec(spec, zone): when a schedule is due, as it is stored: masks of a cron expression (see read_cron), the period of
-- "every INTERVAL", or the time of "at TIME", which is of the zone unless it has an offset; or the rule that the spec breaks. The zone
-- is a known one. Internal.
create function read_spec(
    spec text, zone text, out fields bigint[], out period interval, out once_at timestamptz, out problem text)
language plpgsql stable
set intervalstyle = 'postgres'
as $$
declare
    words constant text[] := regexp_match(btrim(spec, E' \t'), '^@?(every|at)[ \t]+(.*)$', 'i');
    parts text[];
begin
    if spec is null or btrim(spec, E' \t') = '' or length(spec) > 500 then
        problem := 'must have 1 to 500 characters';
    elsif words is null then
        select r.fields, r.problem into fields, problem from read_cron(btrim(spec, E' \t')) r;
    elsif lower(words[1]) = 'every' then
        begin
            period := words[2]::interval;
        exception when data_exception then
            problem := format('has an interval that cannot be read: %s', to_json(left(words[2], 60)));
            return;
        end;
        if extract(month from period) <> 0 or extract(year from period) <> 0 then
            problem := 'must not have months or years in its interval, which differ in length: use a cron expression';
        elsif extract(epoch from period) not between 1 and 3155760000 then
            problem := 'must have an interval of 1 second to 100 years';
        end if;
        period := case when problem is null then make_interval(secs => extract(epoch from period)::float8) end;
    else
        parts := regexp_match(words[2], '^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)\s*(Z|[+-]\d\d(?::?\d\d)?)?$', 'i');
        begin
            once_at := case when parts[3] is null then instant_of((parts[1] || ' ' || parts[2])::timestamp, zone)
                            else (parts[1] || ' ' || parts[2] || parts[3])::timestamptz end;
        exception when data_exception then
            once_at := null;
        end;
        if once_at is null then
            problem := format('has a time that cannot be read: %s; it is written as 2030-01-31 18:00, or with an offset as 2030-01-31T18:00:00Z',
                              to_json(left(words[2], 60)));
        end if;
    end if;
end
$$;
comment on function read_spec is 'When a schedule is due, as it is stored.';
-- +goose StatementEnd

-- +goose StatementBegin
-- read_step(job_id, name): the value that a step, cursor or signal of a job has. No row: none.
-- roles: worker
create function read_step(job_id bigint, name text) returns table (output jsonb, codec text, payload bytea)
language sql stable security definer set search_path from current set jit = off
as $$
    select s.output, s.codec, s.payload from steps s where s.job_id = read_step.job_id and s.name = read_step.name
$$;
comment on function read_step is 'The value that a step of a job has.';
-- +goose StatementEnd

-- +goose StatementBegin
-- read_steps(job_id, at_most): the steps, cursors, sleeps and signals of a job, for a handler that begins. What takes more
-- than at_most bytes as it is stored is large: its value is left out, to be read by itself (read_step).
-- over: recorded, saved, sent, or slept.
-- roles: worker
create function read_steps(job_id bigint, at_most integer)
returns table (name text, type text, over boolean, timed_out boolean, large boolean, output jsonb, codec text, payload bytea)
language sql stable security definer set search_path from current set jit = off
as $$
    select s.name, s.type, s.done_at is not null or s.type = 'sleep' and s.wake_at <= clock_timestamp(), s.timed_out, l.large,
           case when not l.large then s.output end, s.codec, case when not l.large then s.payload end
    from steps s
    cross join lateral (
        select coalesce(pg_column_size(s.output), 0) + coalesce(pg_column_size(s.payload), 0) > at_most as large) l
    where s.job_id = read_steps.job_id
$$;
comment on function read_steps is 'The steps of a job, for a handler that begins.';
-- +goose StatementEnd

-- +goose StatementBegin
-- read_up_to(c): an id up to which a consumer has read everything. Internal, inlined.
create function read_up_to(c consumers) returns bigint
language sql immutable
as $$ select least(c.to_id, case when not c.exhausted then c.after_id end, (select min(i) from unnest(c.to_open_ids) i)) $$;
comment on function read_up_to is 'An id up to which a consumer has read everything.';
-- +goose StatementEnd

-- +goose StatementBegin
-- read_window(c, at_most): the next events in the window of a consumer that it wants, by id. A walk along the primary key from after_id.
-- Internal: next_batch.
create function read_window(c consumers, at_most integer) returns events[]
language plpgsql stable
set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_custom_plan
as $$
begin
    return array(
        select e from events e
        where e.id > c.after_id
          and not (e.xid < c.from_xid and e.xid <> all(c.from_open))
          and e.xid < c.to_xid and e.xid <> all(c.to_open)
          and (c.queues is null or e.queue = any(c.queues))
          and (c.types is null or e.type = any(c.types))
        order by e.id limit at_most);
end
$$;
comment on function read_window is 'Next events in the window of a consumer.';
-- +goose StatementEnd

-- +goose StatementBegin
-- ready_again(job_ids): the rows of ready of those jobs that became ready again. Internal, inlined: an index look-up for each, whatever the
-- planner takes for small ("= any" would do with a walk along the whole index of a table without rows, where a sort asks for one). Locks nothing.
create function ready_again(job_ids bigint[]) returns setof ready
language sql stable
as $$
    select r.*
    from unnest(job_ids) u(id)
    cross join lateral (select * from ready x where x.job_id = u.id and x.seq <> x.job_id offset 0) r
$$;
comment on function ready_again is 'The rows of ready of jobs that became ready again.';
-- +goose StatementEnd

-- +goose StatementBegin
-- ready_rows(job_ids): the rows of ready that hold jobs, one per job that is there. Internal. Locks nothing.
create function ready_rows(job_ids bigint[]) returns table (job_id bigint, queue text, priority smallint, seq bigint)
language sql stable
as $$
    select j.id, x.queue, x.priority, x.seq
    from jobs j
    cross join lateral (
        select * from ready x
        where x.queue = j.queue and x.priority = j.priority and x.seq <= j.id
        order by x.seq desc limit 1) x
    where j.id = any(job_ids) and x.seq = x.job_id and j.id < x.job_id + x.size
    union
    select x.job_id, x.queue, x.priority, x.seq from ready_again(job_ids) x
$$;
comment on function ready_rows is 'The rows of ready that hold jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- rearrange(job_ids, to_queue, to_priority, told): gives jobs that are ready or scheduled another queue or priority (null: leaves
-- it). Ready ones come behind those that are ready there already; scheduled ones keep their time. Outcome per job: changed,
-- unchanged (it has them), running, waiting (for other jobs), finished, not_found. told: who does it and why, for the events.
-- Internal: move, set_priority.
-- Locks: the DAGs; rows of scheduled by job, then what withdraw locks.
create function rearrange(job_ids bigint[], to_queue text, to_priority smallint, told jsonb) returns table (job_id bigint, outcome text)
language plpgsql
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone record;
    missed bigint[];
begin
    perform lock_dags(job_ids);
    for round in 1 .. 100 loop
        missed := '{}';
        for found_at in
            select p.place, array_agg(p.job_id order by p.job_id) as ids
            from (select p.job_id,
                         case when p.place in ('ready', 'scheduled') and j.queue = coalesce(to_queue, j.queue)
                                   and j.priority = coalesce(to_priority, j.priority) then 'unchanged' else p.place end as place
                  from places(pending) p
                  left join lateral (select queue, priority from jobs where jobs.id = p.job_id offset 0) j on true) p
            group by p.place
            order by array_position('{scheduled,ready}', p.place)
        loop
            if found_at.place in ('scheduled', 'ready') then
                if found_at.place = 'scheduled' then
                    with locked as materialized (
                        select s.job_id from scheduled s where s.job_id = any(found_at.ids) order by s.job_id for update
                    ), kept as (
                        update scheduled s set queue = coalesce(to_queue, s.queue)
                        where s.job_id = any(array(select l.job_id from locked l)) returning s.job_id, s.attempt
                    )
                    select coalesce(array_agg(k.job_id order by k.job_id), '{}') as ids, array_agg(k.attempt order by k.job_id) as attempts
                    into gone from kept k;
                else
                    select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids, array_agg(w.attempt order by w.job_id) as attempts
                    into gone from withdraw(found_at.ids) w;
                end if;
                perform record_event(
                    case when to_queue is null then 'priority_set' else 'moved' end, j.id, coalesce(to_queue, j.queue), null, null,
                    told || case when to_queue is null then jsonb_build_object('from', j.priority, 'to', to_priority)
                                 else jsonb_build_object('from', j.queue, 'to', to_queue) end)
                from jobs j where j.id = any(gone.ids);
                update jobs j set queue = coalesce(to_queue, j.queue), priority = coalesce(to_priority, j.priority)
                where j.id = any(gone.ids);
                if found_at.place = 'ready' then
                    perform put_ready(gone.ids, gone.attempts);
                end if;
                return query select id, 'changed' from unnest(gone.ids) id;
                missed := missed || array(select unnest(found_at.ids) except select unnest(gone.ids));
            elsif found_at.place = 'lost' then
                missed := missed || found_at.ids;
            else
                return query
                    select id, case when found_at.place in ('unchanged', 'running', 'waiting', 'not_found') then found_at.place else 'finished' end
                    from unnest(found_at.ids) id;
            end if;
        end loop;
        if missed = '{}' then
            return;
        end if;
        pending := missed;
    end loop;
    perform too_busy(pending);
end
$$;
comment on function rearrange is 'Gives jobs that wait another queue or priority.';
-- +goose StatementEnd

-- +goose StatementBegin
-- recent_times(schedule, since, before, at_most): the last times at which a schedule was due from one time on and before another, in
-- order. Looks back further and further, so that the cost is that of the times it returns and not of all. Internal.
create function recent_times(schedule schedules, since timestamptz, before timestamptz, at_most integer) returns timestamptz[]
language plpgsql stable
as $$
declare
    step constant interval := interval '1 microsecond';
    few interval := interval '0'; -- in which there are less than are wanted
    many interval; -- in which there are far more
    span interval := interval '1 min';
    start timestamptz;
    due timestamptz;
    found timestamptz[];
begin
    loop
        start := greatest(since, before - span);
        found := '{}';
        due := schedule_next(schedule, start - step);
        while due < before and cardinality(found) <= 4 * at_most + 10 loop
            found := found || due;
            due := schedule_next(schedule, due);
        end loop;
        if due < before and span - few > interval '1 s' then
            many := span;
        elsif cardinality(found) >= at_most or start = since or span - few <= interval '1 s' then
            return found[greatest(1, cardinality(found) - at_most + 1):];
        else
            few := span;
        end if;
        span := case when many is null then 4 * span else few + (many - few) / 2 end;
    end loop;
end
$$;
comment on function recent_times is 'The last times at which a schedule was due.';
-- +goose StatementEnd

-- +goose StatementBegin
-- reconcile_schedules(declared_by, schedules): makes the schedules of a declarer be those of a JSON array, all or none: creates and changes those that it
-- lists, and deletes those that this declarer has declared before and does not list any more. Outcome by name: created,
-- changed, unchanged, deleted; taken: there is one of this name that somebody else declares or that was made by hand,
-- which is left as it is. A pause stays.
--
--   select * from pgq.reconcile_schedules('billing', '[{"name": "invoices", "spec": "@monthly", "kind": "send_invoices"}]');
--
-- Fields are the arguments of set_schedule. Raises PQ001 with the index and the field. Locks: an advisory lock of the declarer, then
-- rows of schedules by name.
-- roles: operator
create function reconcile_schedules(declared_by text, schedules jsonb) returns table (name text, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    who constant text := reconcile_schedules.declared_by;
    entry record;
    listed text[];
    bad text;
    field text;
    rule text;
begin
    if who is null or length(who) not between 1 and 128 then
        perform invalid('declared_by', 'must have 1 to 128 characters');
    elsif jsonb_typeof(reconcile_schedules.schedules) is distinct from 'array' then
        perform invalid('schedules', 'must be a JSON array');
    end if;
    perform pg_advisory_xact_lock(advisory_key('schedules/' || who));
    listed := array(select e ->> 'name' from jsonb_array_elements(reconcile_schedules.schedules) e where jsonb_typeof(e) = 'object');
    for entry in
        select e.value, e.ordinality - 1 as index
        from jsonb_array_elements(reconcile_schedules.schedules) with ordinality e
        order by e.value ->> 'name', e.ordinality
    loop
        if jsonb_typeof(entry.value) <> 'object' then
            perform invalid(format('schedules[%s]', entry.index), 'must be a JSON object');
        end if;
        select key into bad from jsonb_object_keys(entry.value) key
        where key not in ('name', 'spec', 'kind', 'args', 'options', 'dag', 'zone', 'jitter', 'starts_at', 'ends_at', 'max_runs',
                          'missed', 'missed_limit', 'overlap') limit 1;
        if found then
            perform invalid(format('schedules[%s]', entry.index), format('has an unknown field %s', to_json(left(bad, 60))));
        elsif cardinality(array_positions(listed, entry.value ->> 'name')) > 1 then
            perform invalid(format('schedules[%s].name', entry.index), 'must not be listed twice');
        end if;
        if exists (select from schedules s where s.name = entry.value ->> 'name' and s.declared_by is distinct from who) then
            return query select entry.value ->> 'name', 'taken';
            continue;
        end if;
        begin
            return query
                select entry.value ->> 'name', set_schedule_json(entry.value, who);
        exception when sqlstate 'PQ001' then
            get stacked diagnostics field = column_name, rule = pg_exception_detail;
            perform invalid(format('schedules[%s].%s', entry.index, field), rule);
        end;
    end loop;
    for name in
        select s.name from schedules s where s.declared_by = who and s.name <> all(listed) order by s.name for update
    loop
        perform delete_schedule(name);
        outcome := 'deleted';
        return next;
    end loop;
end
$$;
comment on function reconcile_schedules is 'Makes the schedules of a declarer be those of a list.';
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
-- record_operation(type, queue, data): writes an event of what an operator did with a queue or a limit, also for mute queues: it is rare, and
-- somebody will ask who it was. Wakes subscribers. Internal.
create function record_operation(type text, queue text, data jsonb) returns void
language plpgsql
as $$
begin
    insert into events (type, queue, data) values (record_operation.type, record_operation.queue, record_operation.data);
    perform notify_subscribers();
end
$$;
comment on function record_operation is 'Writes an event of what an operator did with a queue or a limit.';
-- +goose StatementEnd

-- +goose StatementBegin
-- record_step(worker_id, job_id, attempt, name, output, codec, payload): keeps the result of a step of a handler, for the attempts
-- after this one: output is JSON, or codec and payload are bytes. Outcome: recorded; existing (the step has a result, which stays: an
-- answer was lost, or two run the same step); lost (the lease is not the worker's any more, and nothing was written: whoever
-- was declared dead records nothing).
-- Called in a transaction that writes the step's effects it makes these happen exactly once.
-- Raises PQ001 for a name that is no name or belongs to something else than a step, and for a codec without a payload.
-- Locks: the row of running against its end; then the row of steps.
-- roles: worker
create function record_step(
    worker_id bigint, job_id bigint, attempt integer, name text, output jsonb default null, codec text default null,
    payload bytea default null)
returns text
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
begin
    if (codec is null) <> (payload is null) then
        perform invalid('codec', 'must be given with a payload, and only with one');
    end if;
    if not holds_lease(worker_id, job_id, attempt) then
        return 'lost';
    end if;
    insert into steps (job_id, name, type, attempt, done_at, output, codec, payload)
    values (job_id, check_step_name(name), 'step', attempt, clock_timestamp(), output, codec, payload)
    on conflict on constraint steps_pkey do nothing;
    if found then
        return 'recorded';
    end if;
    perform check_step_type(job_id, name, 'step');
    return 'existing';
end
$$;
comment on function record_step is 'Keeps the result of a step of a handler.';
-- +goose StatementEnd

-- +goose StatementBegin
-- recount(job_ids): writes into waiting what the parents of these waiting jobs came to so far. Of maps under way these are their
-- items, those that do not exist yet included; an external node that was reached has none any more, nor has a job that waits for its turn.
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
    where w.job_id = any(job_ids) and (w.role is null or w.role not in ('signal', 'turn'));
end
$$;
comment on function recount is 'Writes into waiting what parents came to so far.';
-- +goose StatementEnd

-- +goose StatementBegin
-- register_worker(name, queues, kinds, lease): registers a worker process and returns its id, with which
-- it claims. It must call heartbeat more often than its lease lasts, or it is declared dead.
-- Raises PQ001 for a lease that is not 1 second to 1 day, and for names that break a rule: that of the worker, of a queue, of a kind.
-- roles: worker
create function register_worker(name text, queues text[], kinds text[], lease interval default '30 s')
returns bigint
language plpgsql security definer set search_path from current
as $$
declare
    new_id bigint;
begin
    if register_worker.name is null or length(register_worker.name) not between 1 and 200 then
        perform invalid('name', 'must have 1 to 200 characters');
    elsif register_worker.name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then
        perform invalid('name', 'must not have control characters');
    elsif register_worker.lease is null or register_worker.lease not between interval '1 second' and interval '1 day' then
        perform invalid('lease', 'must be 1 second to 1 day');
    end if;
    perform invalid(w.field || 's', 'each ' || p.problem[2])
    from (select 'queue' as field, 'k' as kind, q as queue from unnest(register_worker.queues) q
          union all select 'kind', k, 'q' from unnest(register_worker.kinds) k) w
    cross join lateral job_problem(w.kind, w.queue, 5, null, null, null, null, null, null, null, null, null, null, null, null) p(problem)
    where p.problem is not null;
    insert into workers (name, queues, kinds, lease)
    values (register_worker.name, coalesce(register_worker.queues, '{}'), coalesce(register_worker.kinds, '{}'),
            register_worker.lease)
    returning id into new_id;
    insert into queues (name)
    select distinct q from unnest(register_worker.queues) q
    order by q
    on conflict do nothing;
    insert into known_kinds (name)
    select distinct k from unnest(register_worker.kinds) k
    order by k
    on conflict do nothing;
    return new_id;
end
$$;
comment on function register_worker is 'Registers a worker process and returns its id. lease: how long it may be silent before its jobs are given to others.';
-- +goose StatementEnd

-- +goose StatementBegin
-- release(worker_id, job_ids, attempts): gives jobs back that the worker holds and did not start or could not
-- finish through no fault of theirs. The attempt does not count. Raises PQ001 for arrays that are not of one length. Returns as fail does.
-- roles: worker
create function release(worker_id bigint, job_ids bigint[], attempts integer[])
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform check_parallel('{job_ids,attempts}', array[array_dims(job_ids), array_dims(attempts)]);
    return query
        select * from end_attempts(release.worker_id, job_ids, attempts,
            array_fill('release'::text, array[coalesce(cardinality(job_ids), 0)]), null, null, null);
end
$$;
comment on function release is 'Gives jobs back that a worker holds; the attempt does not count. Returns as fail does.';
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
-- release_job(worker_id, job_id, attempt): gives one job back that the worker holds: release, for workers that are written without
-- arrays. The attempt does not count. Returns as fail_job does.
-- roles: worker
create function release_job(worker_id bigint, job_id bigint, attempt integer) returns text
language sql security definer set search_path from current
as $$
    select outcome from release(release_job.worker_id, array[job_id], array[attempt])
$$;
comment on function release_job is 'Gives a job back that a worker holds.';
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
-- replace_jobs(jobs, outcomes, ids, since): gives queued jobs what later ones with their keys ask for: those of a JSON array of which the
-- outcome is replaced, in the order of the array. Args, metadata, tags and the ways to retry are replaced, and the time, if one is given; the
-- place in the queue stays. A debounced job moves on, but at most to max_wait after its key was taken (since).
-- Internal: enqueue_jobs, which has pinned those jobs. Locks what reschedule locks.
create function replace_jobs(jobs jsonb, outcomes text[], ids bigint[], since timestamptz[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    later record;
begin
    for later in
        select i.*, ids[i.index + 1] as id,
               coalesce(i.run_at, now() + i.delay,
                        least(now() + unique_wait(i.uniqueness),
                              since[i.index + 1] + coalesce((i.uniqueness #>> '{debounce,max_wait}')::interval,
                                                            (i.uniqueness #>> '{throttle,every}')::interval))) as due
        from jobs_from_json(replace_jobs.jobs) i
        where outcomes[i.index + 1] = 'replaced'
        order by i.index
    loop
        update jobs j
        set args = later.args, codec = later.codec, payload = later.payload, metadata = later.metadata, tags = later.tags,
            max_attempts = later.max_attempts, timeout = later.timeout, backoff = later.backoff, result_ttl = later.result_ttl
        where j.id = later.id;
        if later.due is not null then
            perform reschedule(array[later.id], later.due);
        end if;
        perform record_event('replaced', later.id, later.queue);
    end loop;
end
$$;
comment on function replace_jobs is 'Gives queued jobs what later ones ask for.';
-- +goose StatementEnd

-- +goose StatementBegin
-- report_progress(worker_id, job_id, attempt, done, total): says how far a running job is (0 total: unknown). Raises PQ001 for what is null or negative.
-- False, and nothing is written, when the lease is lost. Locks: the row of running against its end.
-- roles: worker
create function report_progress(worker_id bigint, job_id bigint, attempt integer, done bigint, total bigint)
returns boolean
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
begin
    if done is null or total is null then
        perform invalid('progress', 'must not be null');
    elsif done < 0 or total < 0 then
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
-- reschedule(job_ids, run_at, delay, reason, actor): moves jobs that wait (ready or scheduled) to another time, or to delay from now; a time
-- that is past makes them ready. Outcome per job: scheduled, ready, running, waiting (for other jobs), finished (use retry), not_found.
-- Raises PQ001 when run_at is missing or infinite, or given together with delay.
-- actor is who does it, the session's user by default; reason and actor are kept with the events.
-- roles: operator
create function reschedule(job_ids bigint[], run_at timestamptz default null, delay interval default null, reason text default null, actor text default null)
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    pending bigint[] := job_ids;
    found_at record;
    gone record;
    moved bigint[];
begin
    if reschedule.delay is not null then
        if reschedule.run_at is not null then
            perform invalid('delay', 'must not be given together with run_at');
        elsif reschedule.delay not between interval '-100 years' and interval '100 years' then
            perform invalid('delay', 'must be at most 100 years');
        end if;
        reschedule.run_at := now() + reschedule.delay;
    end if;
    if reschedule.run_at is null or not isfinite(reschedule.run_at) then
        perform invalid('run_at', 'must be finite');
    end if;
    perform lock_dags(job_ids);
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by array_position('{waiting,scheduled,ready,running}', p.place), p.place loop
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
                perform record_event('rescheduled', u.id, u.queue, u.attempt, null, operator_data(reason, actor, jsonb_build_object('run_at', reschedule.run_at)))
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
comment on function reschedule is 'Moves jobs that wait to another time, or to delay from now; a time that is past makes them ready. Says of each: scheduled, ready, running, waiting, finished or not_found.';
-- +goose StatementEnd

-- +goose StatementBegin
-- rescue(at_most): declares workers dead that have not heartbeat for their lease, and ends up to at_most
-- attempts per dead worker. Returns how many attempts were ended.
-- Locks: per silent worker its advisory lock (one that is claiming has it and lives), its row, then rows of
-- running in the order of their ids, skipping those that others have locked.
-- roles: worker, operator
create function rescue(at_most integer default 1000) returns integer
language plpgsql security definer set search_path from current
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
            ended := ended + rescue_worker(silent, within('at_most', at_most, 0, 1000000));
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
-- What others have locked is left for the next time: a process may have been stopped for good in the middle of a transaction that
-- completes a job or records a step, for which nobody else's jobs shall wait.
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
    from (
        select job_id, attempt from running where worker_id = rescue_worker.worker_id
        order by job_id limit at_most
        for update skip locked) r;
    if held.ids is null then
        delete from workers
        where id = rescue_worker.worker_id and dead_at is not null
          and not exists (select from running r where r.worker_id = rescue_worker.worker_id);
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
-- reset_consumer(name, start_at): puts the position of a consumer to now, beginning or behind an event's id. A lease that somebody has
-- is lost. Raises PQ001 for another start_at, PQ004 when there is no such consumer. Locks: its row.
-- roles: operator
create function reset_consumer(name text, start_at text) returns void
language plpgsql security definer set search_path from current
as $$
begin
    update consumers c
    set (from_xid, from_open, to_xid, to_open, to_open_ids, to_id, after_id, exhausted)
          = (select s.from_xid, s.from_open, s.to_xid, s.to_open, s.to_open_ids, s.to_id, s.after_id, s.exhausted from consumer_start(start_at) s),
        token = c.token + 1, leased_id = null, leased_last = null, leased_count = null, leased_until = null, leased_by = null,
        failures = 0, error = null, retry_at = null, lost_at = null, updated_at = now()
    where c.name = reset_consumer.name;
    if not found then
        raise exception using errcode = 'PQ004', message = format('no consumer %s', reset_consumer.name);
    end if;
end
$$;
comment on function reset_consumer is 'Puts the position of a consumer elsewhere.';
-- +goose StatementEnd

-- +goose StatementBegin
-- resume_limit(scope, name, reason, actor): ends what pause_limit began, and closes a circuit breaker. Returns whether there was
-- something to end. Writes an event "resumed", or "breaker_closed". Locks: the row of gates.
-- roles: operator
create function resume_limit(scope text, name text, reason text default null, actor text default null) returns boolean
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    was gates;
    ended boolean;
begin
    perform check_scope(scope, name);
    select * into was from gates g where g.scope = resume_limit.scope and g.name = resume_limit.name for update;
    ended := was.opened_at is not null or coalesce(was.paused_until > clock_timestamp(), false);
    if ended then
        update gates g
        set paused_until = null, paused_by = null, pause_reason = null, failed_at = null, opened_at = null, probe_at = null, probe_id = null, probe_attempt = null
        where g.scope = resume_limit.scope and g.name = resume_limit.name;
    end if;
    perform drop_gate(scope, name);
    if was.opened_at is not null then
        perform record_operation('breaker_closed', case scope when 'queue' then name end,
            operator_data(reason, actor, jsonb_build_object('scope', scope, 'name', name, 'opened_at', was.opened_at)));
    elsif ended then
        perform record_operation('resumed', case scope when 'queue' then name end,
            operator_data(reason, actor, jsonb_build_object('scope', scope, 'name', name)));
    end if;
    perform wake_turns(scope, name);
    return ended;
end
$$;
comment on function resume_limit is 'Ends the pause of a queue, a kind or a group and closes its circuit breaker. Returns whether there was something to end.';
-- +goose StatementEnd

-- +goose StatementBegin
-- resume_queue(name, reason, actor): lets jobs of a paused queue be claimed again and wakes workers. Returns whether it was paused. Raises PQ004
-- when there is no such queue. Writes an event "resumed". Locks: the row of queues.
-- roles: operator
create function resume_queue(name text, reason text default null, actor text default null) returns boolean
language plpgsql security definer set search_path from current
as $$
begin
    update queues q set paused_at = null, paused_by = null, pause_reason = null, updated_at = now()
    where q.name = resume_queue.name and q.paused_at is not null;
    if found then
        perform record_operation('resumed', resume_queue.name, operator_data(reason, actor));
        perform wake(array[resume_queue.name]);
        return true;
    elsif not exists (select from queues q where q.name = resume_queue.name) then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no queue %s', to_json(resume_queue.name));
    end if;
    return false;
end
$$;
comment on function resume_queue is 'Lets jobs of a paused queue be claimed again. Returns whether it was paused.';
-- +goose StatementEnd

-- +goose StatementBegin
-- resume_schedule(name): lets a paused schedule fire again; returns when it is due next (null: never again). Times that passed while it
-- was paused are not made up for. One that is not paused is left as it is. Raises PQ004 when there is none. Locks: its row.
-- roles: operator
create function resume_schedule(name text) returns timestamptz
language plpgsql security definer set search_path from current
as $$
declare
    schedule schedules := find_schedule(name);
begin
    if schedule.paused_at is not null then
        if schedule.next_at <= now() then
            schedule.next_at := schedule_next(schedule, now());
        end if;
        update schedules s
        set (paused_at, pause_reason, paused_by, next_at, fire_at, updated_at) = (
            null, null, null, schedule.next_at,
            least(jittered(s.name, schedule.next_at, s.jitter), case when s.queued_at is not null then now() end), now())
        where s.name = schedule.name;
    end if;
    return schedule.next_at;
end
$$;
comment on function resume_schedule is 'Lets a paused schedule fire again.';
-- +goose StatementEnd

-- +goose StatementBegin
-- resume_sequence(key): lets a sequence go on that a failed job has stopped, without that job; returns the job that is next, null when
-- none waits. One that is not stopped is left as it is. To go on with the failed job, retry that. Raises PQ004 when there is no unfinished job in the sequence.
-- Locks: the row of the sequence; then what next_in_line locks.
-- roles: operator
create function resume_sequence(key text) returns bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    stopped sequences;
begin
    select s.* into stopped from sequences s where s.key = resume_sequence.key for no key update;
    if not found then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no sequence %s with unfinished jobs', coalesce(to_json(key)::text, 'null'));
    end if;
    if stopped.stopped_at is not null then
        perform record_event('sequence_resumed', j.id, j.queue, null, null, operator_data(null, null, jsonb_build_object('sequence', stopped.key)))
        from jobs j where j.id = stopped.job_id;
        perform next_in_line(array[stopped.key]);
        perform notify_subscribers();
    end if;
    return (select s.job_id from sequences s where s.key = stopped.key);
end
$$;
comment on function resume_sequence is 'Lets a sequence go on without the failed job that has stopped it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- retire_worker(worker_id): takes a worker off the register at the end of its life. What it still holds
-- becomes ready again (as after a crash). Unknown workers are ignored.
-- roles: worker
create function retire_worker(worker_id bigint) returns void
language plpgsql security definer set search_path from current
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
-- retry(job_ids, reason, actor): runs jobs again now: finished ones, whatever their state, with at least one attempt more,
-- and scheduled ones without waiting for their time. Attempts go on counting.
-- Outcome per job: ready (also when it was already), waiting (for other jobs, or in the line of its sequence), running, finished (a DAG, sub-DAG, map or gate
-- of which nothing was to run again), not_found. A node of a DAG that has
-- ended takes along those of its descendants that were skipped, and the DAG; a DAG its failed nodes (see dag_retry).
-- A job of a sequence waits until no other one of that is under way; one that has stopped it lets it go on.
-- actor is who does it, the session's user by default; reason and actor are kept with the events.
-- Raises PQ006 when a job becomes the parent of others at this moment. Locks: for nodes the chores and the DAGs; then what withdraw locks, or rows of results by job.
-- roles: operator
create function retry(job_ids bigint[], reason text default null, actor text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
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
    queued bigint[];
begin
    linked := array(
        select j.id from jobs j
        where j.id = any(job_ids)
          and (j.dag_id is not null or j.role is not null or exists (select from edges e where e.parent_id = j.id offset 0)));
    if linked <> '{}' then
        perform pg_advisory_xact_lock(advisory_key('chores'));
        perform lock_dags(linked);
        reopened := dag_reset(linked || array(
            select m.id from jobs m join results f on f.job_id = m.id
            where m.dag_id = any(linked) and f.state in ('failed', 'cancelled', 'expired')), operator_data(reason, actor));
    end if;
    for round in 1 .. 100 loop
        moved := '{}';
        for found_at in select p.place, array_agg(p.job_id order by p.job_id) as ids from places(pending) p group by p.place order by array_position('{waiting,scheduled,ready,running}', p.place), p.place loop
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
                reopened := reopened || dag_reset(array(select id from unnest(found_at.ids) id where id = any(linked)), operator_data(reason, actor));
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
            perform record_event('retry_requested', j.id, j.queue, data => operator_data(reason, actor)) from jobs j where j.id = any(gone.ids);
            queued := retry_in_line(gone.ids, gone.attempts, found_at.place);
            return query select id, case when id = any(queued) then 'waiting' else 'ready' end from unnest(gone.ids) id;
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
comment on function retry is 'Runs jobs again now: finished ones with at least one attempt more, scheduled ones without waiting. Says of each: ready, waiting, running, finished or not_found.';
-- +goose StatementEnd

-- +goose StatementBegin
-- retry_in_line(job_ids, attempts, place): makes jobs ready that are to run again, except those whose sequence another one is at: these wait
-- in line and are returned. place: where they were; a scheduled one is the head of its sequence. Internal: retry, which has taken them from there.
create function retry_in_line(job_ids bigint[], attempts integer[], place text) returns bigint[]
language plpgsql
as $$
declare
    of_sequences record;
    queued bigint[] := '{}';
    now_ready record;
begin
    if place <> 'scheduled' then
        select array_agg(j.id order by j.id) as ids, array_agg(u.attempt order by j.id) as attempts
        into of_sequences
        from unnest(job_ids, attempts) u(id, attempt)
        cross join lateral (select id, sequence from jobs where jobs.id = u.id offset 0) j
        where j.sequence is not null;
        if of_sequences.ids is not null then
            queued := array(select unnest(of_sequences.ids) except select unnest(line_up(of_sequences.ids, of_sequences.attempts)));
        end if;
    end if;
    select array_agg(u.id order by u.id) as ids, array_agg(u.attempt order by u.id) as attempts
    into now_ready
    from unnest(job_ids, attempts) u(id, attempt) where u.id <> all(queued);
    perform put_ready(now_ready.ids, now_ready.attempts);
    return queued;
end
$$;
comment on function retry_in_line is 'Makes jobs ready that are to run again, or lets them wait in line.';
-- +goose StatementEnd

-- +goose StatementBegin
-- revoke_role(class, role_name, queues, tenants, payloads): takes a class back from a database role, or of a producer only some
-- queues, of a reader only some tenants or (payloads) the sight of args and results. Returns whether it had any of that.
-- Sessions that are open lose the right at their next statement.
-- Raises PQ001 when an argument breaks a rule, 42501 as grant_role does.
-- Locks: the table grants against other grants and revokes.
-- roles: owner
create function revoke_role(
    class text, role_name text, queues text[] default null, tenants text[] default null, payloads boolean default false)
returns boolean
language plpgsql set search_path from current
as $$
#variable_conflict use_column
declare
    who constant oid := check_grant(class, role_name);
    had boolean;
begin
    if queues is not null and class <> 'producer' then
        perform invalid('queues', 'must be null unless the class is producer');
    elsif tenants is not null and class <> 'reader' then
        perform invalid('tenants', 'must be null unless the class is reader');
    elsif payloads and class <> 'reader' then
        perform invalid('payloads', 'must be false unless the class is reader');
    elsif class = 'owner' then
        return change_owners(who, false);
    end if;
    lock table grants in share row exclusive mode;
    if exists (select from grants g where g.role_id = who and g.class = 'producer' and g.queue = '*')
       and queues <> '{*}' then
        perform invalid('queues', 'must be null: the role may enqueue into all queues, of which none can be excepted');
    elsif payloads then
        update grants g set payloads = false
        where g.role_id = who and g.class = revoke_role.class and g.payloads and (tenants is null or g.tenant = any(tenants));
    else
        delete from grants g
        where g.role_id = who
          and g.class = revoke_role.class
          and (queues is null or g.queue = any(queues))
          and (tenants is null or g.tenant = any(tenants));
    end if;
    had := found;
    perform apply_grants(array[who]);
    return had;
end
$$;
comment on function revoke_role is 'Takes a class back from a database role.';
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
-- rfc3339(at): a time as text in UTC, 2030-01-31T18:00:00Z. Internal.
create function rfc3339(at timestamptz) returns text
language sql stable
as $$ select rtrim(rtrim(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '0'), '.') || 'Z' $$;
comment on function rfc3339 is 'A time as text in UTC.';
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
-- run_schedule(name): enqueues now what a schedule would, whether it is due, paused or has ended, and whatever its earlier runs do; returns the
-- id of the job. Its times and max_runs are not touched by that. Raises PQ004 when there is none, PQ002 for a full queue. Locks:
-- its row.
-- roles: operator
create function run_schedule(name text) returns bigint
language plpgsql security definer set search_path from current
as $$
declare
    schedule constant schedules := find_schedule(name);
    due constant timestamptz := clock_timestamp();
    job_id bigint;
begin
    perform act_as_owner(true);
    if schedule.dag is null then
        job_id := (select j from enqueue_many(jsonb_build_array(schedule_job(schedule, due))) j);
    else
        job_id := (select d.dag_id from dag_submit(schedule_job(schedule, due)) d);
    end if;
    perform act_as_owner(false);
    insert into schedule_runs (schedule, due_at, outcome, times, job_id) values (schedule.name, due, 'by_hand', 1, job_id);
    update schedules s set (last_job_id, last_fired_at) = (job_id, due) where s.name = schedule.name;
    perform forget_runs(array[schedule.name]);
    return job_id;
end
$$;
comment on function run_schedule is 'Enqueues now what a schedule would.';
-- +goose StatementEnd

-- +goose StatementBegin
-- runs_of(job_ids): the keys of the rows of ready that hold jobs. Internal: hold.
create function runs_of(job_ids bigint[]) returns table (queue text, priority smallint, seq bigint)
language sql stable
as $$
    select distinct r.queue, r.priority, r.seq
    from jobs w
    cross join lateral (
        select * from ready r
        where r.queue = w.queue and r.priority = w.priority and r.seq <= w.id
        order by r.seq desc limit 1) r
    where w.id = any(job_ids) and r.seq = r.job_id and w.id < r.job_id + r.size
    union
    select r.queue, r.priority, r.seq from ready_again(job_ids) r
$$;
comment on function runs_of is 'The rows of ready that hold jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- sample_pages(place, pages): what is in so many pages of ready, scheduled, waiting or results, by page, queue and state: of as many equal parts of the
-- table a page each, at another place in each part, since what is there may repeat itself at distances like those of the parts.
-- Of a table that has no more pages all is read, as one page. Internal: sampled_jobs.
--
-- Not by tablesample: that takes each page by chance, so that how many they are, and the figures made of them, would differ by a tenth and more from
-- one look to the next.
create function sample_pages(place text, pages integer) returns table (page bigint, queue text, state text, rows bigint, jobs bigint)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    size constant bigint := pg_relation_size(place::regclass) / current_setting('block_size')::integer;
    first tid;
    last tid;
begin
    for i in 0 .. case when size <= pages then 0 else pages - 1 end loop
        page := case when size <= pages then 0 else floor((i + i * 0.618034 % 1) * size / pages) end;
        first := format('(%s,0)', page);
        last := format('(%s,0)', case when size <= pages then size else page + 1 end);
        if place = 'ready' then
            return query select page, r.queue, place, count(*), sum(r.size) from ready r where r.ctid >= first and r.ctid < last group by r.queue;
        elsif place = 'scheduled' then
            return query select page, s.queue, place, count(*), count(*) from scheduled s where s.ctid >= first and s.ctid < last group by s.queue;
        elsif place = 'waiting' then
            return query select page, w.queue, place, count(*), count(*) from waiting w where w.ctid >= first and w.ctid < last group by w.queue;
        else
            return query select page, f.queue, f.state, count(*), count(*) from results f where f.ctid >= first and f.ctid < last group by f.queue, f.state;
        end if;
    end loop;
end
$$;
comment on function sample_pages is 'What is in some pages of a table, by queue and state.';
-- +goose StatementEnd

-- +goose StatementBegin
-- sampled_jobs(place, pages): about how many jobs of each queue and state are in ready, scheduled, waiting or results, from a sample of so many of its pages;
-- exact where it has no more. The same until the table changes. Internal: counts, queue_figures.
--
-- The sample says which part each queue has, and how many rows there are altogether: well where pages hold about as many each, badly where few hold
-- any, since much was done since there were most. The server's statistics know that better, but come late, and begin anew after a crash. So they
-- may change the figure within the doubt that the sample leaves, its standard error and 1 %.
create function sampled_jobs(place text, pages integer) returns table (queue text, state text, jobs double precision, exact boolean)
language sql stable
as $$
    with sample as materialized (
        select * from sample_pages(place, pages)
    ), size as (
        select greatest(1, pg_relation_size(place::regclass) / current_setting('block_size')::double precision / pages) as scale
    ), likely as (
        select z.scale,
               nullif(pg_stat_get_live_tuples(place::regclass), 0) / (sum(p.rows) * z.scale) as known,
               least(0.01 + sqrt(greatest(pages * sum(p.rows ^ 2) / sum(p.rows) ^ 2 - 1, 0) / pages), 0.8) as doubt
        from (select page, sum(rows)::double precision as rows from sample group by page) p
        cross join size z
        group by z.scale
    )
    select p.queue, p.state,
           sum(p.jobs) * l.scale * case when l.scale = 1 then 1 else coalesce(least(greatest(l.known, 1 - l.doubt), 1 + l.doubt), 1) end,
           l.scale = 1
    from sample p cross join likely l
    group by p.queue, p.state, l.scale, l.known, l.doubt
$$;
comment on function sampled_jobs is 'About how many jobs of each queue and state a table has.';
-- +goose StatementEnd

-- +goose StatementBegin
-- save_cursor(worker_id, job_id, attempt, name, output, codec, payload): keeps how far a loop of a handler is, for the attempts after this one; each
-- call replaces what the last one kept. False, and nothing is written, when the lease is lost.
-- Called in a transaction that writes the effects of the loop's round it makes these happen exactly once.
-- Raises PQ001 for a name that is no name or belongs to something else than a cursor, and for a codec without a payload.
-- Locks: the row of running against its end; then the row of steps.
-- roles: worker
create function save_cursor(
    worker_id bigint, job_id bigint, attempt integer, name text, output jsonb default null, codec text default null,
    payload bytea default null)
returns boolean
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
begin
    if (codec is null) <> (payload is null) then
        perform invalid('codec', 'must be given with a payload, and only with one');
    end if;
    if not holds_lease(worker_id, job_id, attempt) then
        return false;
    end if;
    insert into steps as s (job_id, name, type, attempt, done_at, output, codec, payload)
    values (job_id, check_step_name(name), 'cursor', attempt, clock_timestamp(), output, codec, payload)
    on conflict on constraint steps_pkey do update
    set attempt = excluded.attempt, done_at = excluded.done_at, output = excluded.output, codec = excluded.codec, payload = excluded.payload
    where s.type = 'cursor';
    if not found then
        perform check_step_type(job_id, name, 'cursor');
    end if;
    return true;
end
$$;
comment on function save_cursor is 'Keeps how far a loop of a handler is.';
-- +goose StatementEnd

-- +goose StatementBegin
-- schedule_alive(name): the jobs of the last runs of a schedule that have not ended. Internal: plan_schedule.
create function schedule_alive(name text) returns bigint[]
language sql stable
as $$
    select array(
        select r.job_id
        from (select r.job_id from schedule_runs r
              where r.schedule = schedule_alive.name and r.job_id is not null
              order by r.due_at desc limit 20) r
        cross join lateral (select from jobs j where j.id = r.job_id offset 0) j
        where not exists (select from results f where f.job_id = r.job_id)
        order by r.job_id)
$$;
comment on function schedule_alive is 'Jobs of a schedule that have not ended.';
-- +goose StatementEnd

-- +goose StatementBegin
-- schedule_due(schedule): which times of a schedule are to fire now, in order; when it is due next; and whether times were missed that
-- will not fire: the first of these. A time is missed when nobody has fired it for more than a minute, because nobody did
-- chores. What becomes of those says the policy: skip none of them fires; once: the last one does, unless one fires anyway; all: they
-- do, the last missed_limit of them. Internal: plan_schedule.
create function schedule_due(schedule schedules, out fire timestamptz[], out next_at timestamptz, out missed_at timestamptz)
language plpgsql stable
as $$
declare
    late constant timestamptz := now() - schedule.jitter - interval '1 min';
    due timestamptz := schedule.next_at;
    missed timestamptz[] := '{}';
begin
    fire := '{}';
    if due < late then
        if schedule.missed <> 'skip' then
            missed := recent_times(schedule, due, late, case schedule.missed when 'all' then schedule.missed_limit else 1 end);
        end if;
        missed_at := case when missed[1] > due or missed = '{}' then due end;
        due := schedule_next(schedule, late - interval '1 microsecond');
    end if;
    while jittered(schedule.name, due, schedule.jitter) <= now() loop
        fire := fire || due;
        due := schedule_next(schedule, due);
    end loop;
    if schedule.missed = 'once' and missed <> '{}' and fire <> '{}' then
        missed_at := schedule.next_at;
    else
        fire := missed || fire;
    end if;
    next_at := due;
    if schedule.runs + cardinality(fire) >= schedule.max_runs then
        fire := fire[:schedule.max_runs - schedule.runs];
        next_at := null;
    end if;
end
$$;
comment on function schedule_due is 'Which times of a schedule are to fire now.';
-- +goose StatementEnd

-- +goose StatementBegin
-- schedule_history(name, at_most): what became of the last times at which a schedule was due, latest first: fired, by_hand (run_schedule),
-- missed (nobody did chores), overlapped (an earlier run had not ended), failed (refused, with the error). times: how many
-- times a row stands for; null: unknown. About 100 rows are kept. Locks nothing.
-- roles: operator, reader
create function schedule_history(name text, at_most integer default 100)
returns table (due_at timestamptz, outcome text, times bigint, job_id bigint, fired_at timestamptz, error text)
language sql stable security definer set search_path from current
as $$
    select r.due_at, r.outcome, r.times, r.job_id, r.fired_at, r.error
    from schedule_runs r
    where r.schedule = schedule_history.name
    order by r.due_at desc
    limit within('at_most', at_most, 0, 1000000)
$$;
comment on function schedule_history is 'What became of the last times of a schedule.';
-- +goose StatementEnd

-- +goose StatementBegin
-- schedule_job(schedule, due_at): what a schedule enqueues for a time: its job, or its DAG, whose key is the name and the time. Both say in
-- their metadata which schedule they are of and for which time: {"schedule": "report", "due_at": "2030-01-31T18:00:00Z"}. Internal.
create function schedule_job(schedule schedules, due_at timestamptz) returns jsonb
language plpgsql stable
as $$
declare
    target constant jsonb := coalesce(schedule.job, schedule.dag);
    at constant text := rfc3339(due_at);
    metadata constant jsonb := jsonb_build_object('schedule', schedule.name, 'due_at', at);
begin
    return target || jsonb_build_object(
        'metadata', case when jsonb_typeof(target -> 'metadata') = 'object' then (target -> 'metadata') || metadata else metadata end)
        || case when schedule.dag is null then '{}' else jsonb_build_object('key', schedule.name || '@' || at) end;
end
$$;
comment on function schedule_job is 'What a schedule enqueues for a time.';
-- +goose StatementEnd

-- +goose StatementBegin
-- schedule_next(schedule, after): the first time after one at which a schedule is due, within its start and end and as long as it may
-- run; null: none any more. Internal.
create function schedule_next(schedule schedules, after timestamptz) returns timestamptz
language plpgsql stable
as $$
declare
    due timestamptz;
begin
    if schedule.runs >= schedule.max_runs then
        return null;
    end if;
    due := time_after(schedule.fields, schedule.period, schedule.once_at, schedule.zone, schedule.anchor,
                      greatest(after, schedule.starts_at - interval '1 microsecond'));
    return case when due > schedule.ends_at then null else due end;
end
$$;
comment on function schedule_next is 'When a schedule is due next.';
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
-- sees_payloads(): whether the caller may see args and results of all jobs: owners, operators, workers, and readers to whom
-- that was granted. Views ask it once per query. Locks nothing.
-- roles: producer, worker, operator, reader
create function sees_payloads() returns boolean
language sql stable security definer set search_path from current
as $$
    select is_owner(caller()) or exists (
        select from grants g
        where (g.class in ('operator', 'worker') or g.class = 'reader' and g.tenant = '*' and g.payloads)
          and pg_has_role(caller(), g.role_id, 'usage'))
$$;
comment on function sees_payloads is 'Whether the caller may see args and results.';
-- +goose StatementEnd

-- +goose StatementBegin
-- select_jobs(filter, at_most, newest_first): ids of jobs that fit all fields of the filter, in the order of their ids, and
-- where to go on: next is the filter's "after" ("before" with newest_first) of the next call, null at the end. A call looks
-- at a bounded number of jobs: it may find fewer than at_most, or none, and still have a next.
--
--   select * from pgq.select_jobs('{"queues": ["mail"], "states": ["failed"], "error": "timeout"}', 100);
--
-- Fields: queues, kinds, groups, states, fingerprints (of errors), ids, workers (that have it or had it last), dags (whose nodes
-- they are): arrays, one of which it is; an empty array fits nothing. tags: all of which it has. since, until: enqueued
-- from, and before, these times. args, metadata: contained in the job's. paths: [{"path": ["order", "id"], "in": [42]}],
-- what args have there. error: a part of the error's text. after, before: only higher, lower ids.
-- Raises PQ001 naming the field that is not known or cannot be read, 42501 for args and paths where the caller sees no payloads.
-- roles: operator, reader
create function select_jobs(filter jsonb default '{}', at_most integer default 1000, newest_first boolean default false)
returns table (job_ids bigint[], next bigint)
language plpgsql stable security definer set search_path from current
set plan_cache_mode = force_custom_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    f constant record := read_filter(filter);
    wanted text[] := f.states; -- null: any
    streams text[];
    horizon bigint;
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    if wanted is null and (f.error is not null or f.fingerprints is not null) then
        wanted := '{failed,cancelled,skipped,expired}'; -- those that have errors
    end if;
    streams := job_streams(wanted, f.queues, f.ids, f.dags, newest_first);
    execute format($query$
        with looked as materialized (
            %s
        ), ends as (
            select %s(id) as last from looked group by stream having count(*) >= $17
        ), edge as materialized (
            select %s(last) as id from ends
        ), found as (
            select c.id
            from (select distinct l.id from looked l, edge e where e.id is null or l.id %s e.id order by 1 %s) c
            cross join lateral (select * from jobs where jobs.id = c.id offset 0) j
            where ($1 is null or j.queue = any($1))
              and ($2 is null or j.kind = any($2))
              and ($20 is null or j.group_name = any($20))
              and ($4 is null or j.tags @> $4)
              and ($6 is null or j.id = any($6))
              and ($8 is null or j.dag_id = any($8))
              and ($9 is null or j.created_at >= $9)
              and ($10 is null or j.created_at < $10)
              and ($11 is null or j.args @> $11)
              and ($12 is null or j.metadata @> $12)
              and ($16 is null or args_fit(j.args, $16, $18))
              and %s
              and ($7 is null or (select r.worker_id from running r where r.job_id = c.id) = any($7)
                  or (select r.worker_id from results r where r.job_id = c.id) = any($7))
              and ($13 is null or (select strpos(r.error, $13) > 0 from results r where r.job_id = c.id))
              and ($5 is null or (select error_fingerprint(coalesce(r.error, '')) from results r where r.job_id = c.id) = any($5))
            order by c.id %s
            limit $19
        )
        select array(select id from found order by id %s), (select id from edge)
        $query$,
        array_to_string(streams, ' union all '),
        case when newest_first then 'min' else 'max' end, case when newest_first then 'max' else 'min' end,
        case when newest_first then '>=' else '<=' end, case when newest_first then 'desc' end,
        case
            when wanted is null then 'true'
            when wanted <@ '{completed,failed,cancelled,skipped,expired}' then '(select r.state from results r where r.job_id = c.id) = any($3)'
            else '(select s.state from job_states s where s.id = c.id) = any($3)'
        end,
        case when newest_first then 'desc' end, case when newest_first then 'desc' end)
    into job_ids, horizon
    using f.queues, f.kinds, wanted, f.tags, f.fingerprints, f.ids, f.workers, f.dags, f.since, f.until, f.args, f.metadata, f.error,
          coalesce(f.after, -1), coalesce(f.before, 9223372036854775807), f.path_keys, 10000, f.path_values, at_most, f.groups;
    next := case when cardinality(job_ids) = at_most then job_ids[at_most] else horizon end;
    return next;
end
$$;
comment on function select_jobs is 'Ids of jobs that fit a filter, and where to go on.';
-- +goose StatementEnd

-- +goose StatementBegin
-- send_signal(job_id, name, value): sends a signal to a job, whose handler waits for it, or will. Each name of a job is one signal: the first
-- value counts. Outcome: delivered (the job waited for it, and is ready); kept (it runs, or has not got there: its handler finds the value when it
-- looks); duplicate (the name had its value); late (the handler has stopped waiting for it); finished; not_found. In the last four nothing is changed.
-- Raises PQ001 for a name that is no name or belongs to a step, cursor or sleep, and for a job that no handler runs (of those,
-- external nodes are answered by dag_complete).
--
-- The job is woken, or its handler finds the signal, in whatever order this, await_step and suspend come: see suspend. A job that was put off for
-- another reason, after an attempt that failed for example, is left where it is.
-- Locks: signal/<id>; the row of scheduled, jobs against its deletion, steps; then what put_ready locks.
-- roles: producer, worker, operator
create function send_signal(job_id bigint, name text, value jsonb default null) returns text
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_variable
declare
    now constant timestamptz := clock_timestamp();
    job record;
    parked record;
    step steps;
begin
    perform check_step_name(name);
    perform pg_advisory_xact_lock(advisory_key('signal/' || job_id));
    select s.job_id, s.attempt into parked from scheduled s where s.job_id = send_signal.job_id for update;
    select j.id, j.queue, j.role into job from jobs j where j.id = any(visible(array[send_signal.job_id])) for key share;
    if not found then
        return 'not_found';
    elsif job.role is not null then
        perform invalid('job_id', format('must be a job that a handler runs; %s is of role %s', job_id, job.role));
    elsif exists (select from results f where f.job_id = send_signal.job_id) then
        return 'finished';
    end if;
    insert into steps (job_id, name, type, done_at, output)
    values (job_id, name, 'signal', now, value)
    on conflict on constraint steps_pkey do nothing;
    if not found then
        perform check_step_type(job_id, name, 'signal');
        select * into step from steps s where s.job_id = send_signal.job_id and s.name = send_signal.name for update;
        if step.done_at is not null then
            return case when step.timed_out then 'late' else 'duplicate' end;
        end if;
        update steps s set done_at = now, output = value where s.job_id = send_signal.job_id and s.name = send_signal.name;
    end if;
    perform record_event('signalled', job_id, job.queue, null, null, jsonb_build_object('step', name));
    -- An attempt that was suspended does not count; one that failed after it had looked does.
    if parked.attempt < step.attempt then
        delete from scheduled s where s.job_id = send_signal.job_id;
        perform put_ready(array[job_id], array[parked.attempt]);
        return 'delivered';
    end if;
    return 'kept';
end
$$;
comment on function send_signal is 'Sends a signal to a job.';
-- +goose StatementEnd

-- +goose StatementBegin
-- sequence_problem(sequence, on_failure, uniqueness): the first rule that a job breaks with what it says of its sequence, as {field, rule};
-- null when none. Of those whose unique key may change an earlier job none can be in a sequence: that one may be in line already, and
-- what it does is what was asked when it got there. The same rules stand in Go (pgq/sequence.go). Internal: enqueue and check_jobs_json.
create function sequence_problem(sequence text, on_failure text, uniqueness jsonb) returns text[]
language sql immutable
as $$
    select case
        when length(sequence) not between 1 and 500 then array['sequence', 'must have 1 to 500 characters']
        when on_failure not in ('stop', 'skip', 'continue') then array['on_failure', 'must be stop, skip or continue']
        when on_failure is not null and sequence is null then array['on_failure', 'must not be given without a sequence']
        when sequence is not null and (uniqueness ?| '{debounce,throttle}' or uniqueness ->> 'on_conflict' = 'replace')
            then array['sequence', 'must not be given together with a unique key that replaces, debounces or throttles']
    end
$$;
comment on function sequence_problem is 'The first rule that a job breaks with its sequence.';
-- +goose StatementEnd

-- +goose StatementBegin
-- set_consumer(name, queues, types, keep, start_at): creates a consumer of events, or sets which events it wants (null: all) and for how long
-- they are kept for it at most when it does not read. start_at is where a new one begins: now, beginning (the oldest event that is kept) or an
-- event's id, behind which it begins; one that exists stays where it is (reset_consumer). Returns created, changed or unchanged.
-- Raises PQ001 when a field breaks a rule. Locks: its row.
-- roles: worker, operator
create function set_consumer(
    name text, queues text[] default null, types text[] default null, keep interval default '7 days', start_at text default 'now')
returns text
language plpgsql security definer set search_path from current
as $$
declare
    old consumers;
begin
    if set_consumer.start_at is null or set_consumer.start_at not in ('now', 'beginning') and set_consumer.start_at !~ '^[0-9]{1,18}$' then
        perform invalid('start_at', 'must be now, beginning or the id of an event');
    end if;
    perform check_consumer(set_consumer.name, set_consumer.queues, set_consumer.types, set_consumer.keep);
    select * into old from consumers c where c.name = set_consumer.name for update;
    if found then
        if (old.queues, old.types, old.keep) is not distinct from (set_consumer.queues, set_consumer.types, set_consumer.keep) then
            return 'unchanged';
        end if;
        update consumers c
        set queues = set_consumer.queues, types = set_consumer.types, keep = set_consumer.keep, updated_at = now()
        where c.name = set_consumer.name;
        return 'changed';
    end if;
    insert into consumers as c (name, queues, types, keep, from_xid, from_open, to_xid, to_open, to_open_ids, to_id, after_id, exhausted)
    select set_consumer.name, set_consumer.queues, set_consumer.types, set_consumer.keep, s.from_xid, s.from_open, s.to_xid, s.to_open,
           s.to_open_ids, s.to_id, s.after_id, s.exhausted
    from consumer_start(start_at) s
    on conflict do nothing;
    -- Not found: somebody created it at the same moment; it is there by now, and this call sets it.
    return case when found then 'created'
                else set_consumer(set_consumer.name, set_consumer.queues, set_consumer.types, set_consumer.keep, start_at) end;
end
$$;
comment on function set_consumer is 'Creates or changes a consumer of events.';
-- +goose StatementEnd

-- +goose StatementBegin
-- set_kind(kind, settings): sets what the object names for all jobs of a kind; null puts a setting back to what their queue says.
-- Settings: backoff. A job's own setting wins over its kind's, and that over its queue's.
--
--   select pgq.set_kind('send_receipt', '{"backoff": {"type": "table", "delays": [1, 30, 600]}}');
--
-- Raises PQ001 for an unknown setting or a value that breaks a rule. Locks: the row of kinds.
-- roles: operator
create function set_kind(kind text, settings jsonb) returns void
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
    unknown text;
begin
    if set_kind.kind is null or length(set_kind.kind) not between 1 and 128 then
        perform invalid('kind', 'must have 1 to 128 characters');
    elsif jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    end if;
    select key into unknown from jsonb_object_keys(settings) key where key <> 'backoff' order by key limit 1;
    if found then
        perform invalid(unknown, 'is not a setting of a kind');
    elsif backoff_problem(nullif(settings -> 'backoff', 'null')) is not null then
        perform invalid('backoff', backoff_problem(settings -> 'backoff'));
    elsif settings ? 'backoff' then
        insert into kinds as k (name, backoff) values (set_kind.kind, nullif(settings -> 'backoff', 'null'))
        on conflict (name) do update set backoff = excluded.backoff, updated_at = now();
    end if;
end
$$;
comment on function set_kind is 'Sets settings of a kind of jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- set_limit(scope, name, settings, ..., reason, actor): sets what is given by name or in the object of the limit of a queue, of a kind in all queues, or of
-- groups, and leaves the rest; null in the object takes a setting away, period and burst along with rate, and the limit goes with its
-- last one. Settings: max_running (how many of its jobs run at a time, over all workers), rate per period (how many start in that time;
-- 1 second by default) and burst (how many at once after a rest, by default rate), for groups weight (how many turns they get where
-- others get one; 1 by default), and those of a circuit breaker: after break_after failed attempts in the time break_within (1 minute by
-- default) none starts for break_for (30 seconds by default); then one does, the probe, and others once it has succeeded.
-- The name of groups may end in "*": each group whose name begins so has the limit for itself, unless a longer name fits.
--
--   select pgq.set_limit('group', 'customer/*', max_running => 5);
--   select pgq.set_limit('kind', 'send_sms', rate => 100, period => '1 min', burst => 20);
--   select pgq.set_limit('kind', 'charge', break_after => 10, break_within => '1 min', break_for => '30 s');
--
-- Jobs that run already go on. Writes an event "limit_set" unless nothing changes. Raises PQ001 for an unknown setting or a value that breaks a rule. Locks: the row of limits, then that of gates.
-- roles: operator
create function set_limit(
    scope text, name text, settings jsonb default '{}', max_running integer default null, rate integer default null,
    period interval default null, burst integer default null, weight integer default null, break_after integer default null,
    break_within interval default null, break_for interval default null, reason text default null, actor text default null) returns void
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    entry record;
    current limits;
    was limits;
begin
    perform check_scope(scope, name);
    if jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    end if;
    settings := settings || jsonb_strip_nulls(jsonb_build_object(
        'max_running', max_running, 'rate', rate, 'period', period, 'burst', burst, 'weight', weight,
        'break_after', break_after, 'break_within', break_within, 'break_for', break_for));
    insert into limits (scope, name) values (scope, name) on conflict do nothing;
    select * into current from limits l where l.scope = set_limit.scope and l.name = set_limit.name for update;
    was := current;
    for entry in select key, nullif(value, 'null') as value from jsonb_each(settings) order by key loop
        if entry.key not in ('max_running', 'rate', 'period', 'burst', 'weight', 'break_after', 'break_within', 'break_for') then
            perform invalid(entry.key, 'is not a setting of a limit');
        end if;
        begin
            current := jsonb_populate_record(current, jsonb_build_object(entry.key, entry.value));
        exception when data_exception then
            perform invalid(entry.key, format('has a value that cannot be read: %s', sqlerrm));
        end;
    end loop;
    if current.rate is not null and not settings ? 'period' then
        current.period := coalesce(current.period, '1 s');
    elsif current.rate is null and not settings ? 'period' then
        current.period := null;
    end if;
    if current.rate is null and not settings ? 'burst' then
        current.burst := null;
    end if;
    if current.break_after is not null then
        current.break_within := coalesce(current.break_within, case when not settings ? 'break_within' then interval '1 min' end);
        current.break_for := coalesce(current.break_for, case when not settings ? 'break_for' then interval '30 s' end);
    elsif settings ? 'break_after' then
        current.break_within := case when settings ->> 'break_within' is not null then current.break_within end;
        current.break_for := case when settings ->> 'break_for' is not null then current.break_for end;
    end if;
    perform check_limit(current);
    if (current.max_running, current.rate, current.weight, current.break_after) is null then
        delete from limits l where l.scope = set_limit.scope and l.name = set_limit.name;
        perform drop_gate(scope, name);
    else
        update limits l
        set (max_running, rate, period, burst, weight, break_after, break_within, break_for, updated_at)
          = (current.max_running, current.rate, current.period, current.burst, current.weight, current.break_after, current.break_within,
             current.break_for, now())
        where l.scope = set_limit.scope and l.name = set_limit.name;
    end if;
    if was is distinct from current then
        perform record_operation('limit_set', case scope when 'queue' then name end,
            operator_data(reason, actor, jsonb_build_object('scope', scope, 'name', name, 'settings', changes(to_jsonb(was), to_jsonb(current)))));
    end if;
    perform wake_turns(scope, name);
end
$$;
comment on function set_limit is 'Sets how many jobs of a queue, a kind or a group run at a time and start per period, how many turns a group gets, and when its circuit breaker opens.';
-- +goose StatementEnd

-- +goose StatementBegin
-- set_priority(job_ids, priority, reason, actor): gives jobs that are ready or scheduled another priority, 0 (soonest) to 9. Ready ones come
-- behind those that are ready with that priority already; scheduled ones keep their time. Outcome per job: changed, unchanged
-- (it has that priority), running, waiting (for other jobs), finished, not_found. Raises PQ001 for a priority that is not 0 to 9.
-- actor is who does it, the session's user by default; reason and actor are kept with the events.
-- Locks: the DAGs; rows of scheduled by job, then what withdraw locks.
-- roles: operator
create function set_priority(job_ids bigint[], priority integer, reason text default null, actor text default null) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
as $$
begin
    if set_priority.priority is null or set_priority.priority not between 0 and 9 then
        perform invalid('priority', 'must be 0 to 9');
    end if;
    return query select r.job_id, r.outcome from rearrange(job_ids, null, set_priority.priority::smallint, operator_data(reason, actor)) r;
end
$$;
comment on function set_priority is 'Gives jobs that wait another priority.';
-- +goose StatementEnd

-- +goose StatementBegin
-- set_queue(name, settings, ..., reason, actor): sets what is given by name or in the object and leaves the rest; null in the object puts a
-- setting back to the default, the setting of queue '*'. Creates the queue. Settings: max_depth, warn_depth, max_args_bytes,
-- max_attempts, timeout, backoff, keep_completed, keep_failed, keep_cancelled, keep_expired (intervals),
-- events (none, changes, all), age_every (an interval: a job counts as one priority sooner for each such time that it has waited).
--
--   select pgq.set_queue('mail', max_depth => 10000, keep_completed => '7 days');
--   select pgq.set_queue('mail', '{"max_depth": null}');
--
-- Writes an event "queue_set" unless nothing changes. Raises PQ001 for an unknown setting or a value that breaks a rule.
-- roles: operator
create function set_queue(
    name text, settings jsonb default '{}', max_depth bigint default null, warn_depth bigint default null,
    max_args_bytes bigint default null, max_attempts integer default null, timeout interval default null,
    backoff jsonb default null, keep_completed interval default null, keep_failed interval default null,
    keep_cancelled interval default null, keep_expired interval default null, events text default null,
    age_every interval default null, reason text default null, actor text default null) returns void
language plpgsql security definer set search_path from current
as $$
declare
    current queues;
    was queues;
    entry record;
    broken_rule text;
begin
    if set_queue.name is null or length(set_queue.name) not between 1 and 128 then
        perform invalid('queue', 'must have 1 to 128 characters');
    elsif jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    end if;
    settings := settings || jsonb_strip_nulls(jsonb_build_object(
        'max_depth', max_depth, 'warn_depth', warn_depth, 'max_args_bytes', max_args_bytes, 'max_attempts', max_attempts,
        'timeout', timeout, 'backoff', backoff, 'keep_completed', keep_completed, 'keep_failed', keep_failed,
        'keep_cancelled', keep_cancelled, 'keep_expired', keep_expired, 'events', events,
        'age_every', age_every));
    for entry in select key, value from jsonb_each(settings) loop
        if entry.key not in ('max_depth', 'warn_depth', 'max_args_bytes', 'max_attempts', 'timeout', 'backoff',
                             'keep_completed', 'keep_failed', 'keep_cancelled', 'keep_expired', 'events', 'age_every') then
            perform invalid(entry.key, 'is not a setting of a queue');
        elsif entry.key = 'backoff' and backoff_problem(nullif(entry.value, 'null')) is not null then
            perform invalid('backoff', backoff_problem(entry.value));
        end if;
    end loop;
    insert into queues (name) select set_queue.name where set_queue.name <> '*' on conflict do nothing;
    select * into current from queues q where q.name = set_queue.name for update;
    was := current;
    for entry in select key, nullif(value, 'null') as value from jsonb_each(settings) loop
        begin
            current := jsonb_populate_record(current, jsonb_build_object(entry.key, entry.value));
            update queues q
            set (max_depth, warn_depth, max_args_bytes, max_attempts, timeout, backoff, keep_completed, keep_failed,
                 keep_cancelled, keep_expired, events, age_every, updated_at)
              = (current.max_depth, current.warn_depth, current.max_args_bytes, current.max_attempts, current.timeout,
                 current.backoff, current.keep_completed, current.keep_failed, current.keep_cancelled,
                 current.keep_expired, current.events, current.age_every, now())
            where q.name = set_queue.name;
        exception
            when check_violation then
                get stacked diagnostics broken_rule = constraint_name;
                perform invalid(entry.key, case broken_rule
                    when 'queues_depths_are_positive' then 'must be at least 1'
                    when 'queues_max_args_bytes_is_positive' then 'must be at least 1'
                    when 'queues_max_attempts_is_positive' then 'must be at least 1'
                    when 'queues_timeout_is_positive' then 'must be positive'
                    when 'queues_keep_is_not_negative' then 'must not be negative'
                    when 'queues_age_every_is_1_millisecond_to_1_year' then 'must be 1 millisecond to 1 year'
                    when 'queues_events_is_a_level' then 'must be none, changes or all'
                    when 'queues_defaults_are_complete' then 'must have a value: it is the default of all queues'
                    else format('breaks the rule %s', broken_rule) end);
            when data_exception then
                perform invalid(entry.key, format('cannot be read: %s', sqlerrm));
        end;
    end loop;
    if was is distinct from current then
        perform record_operation('queue_set', set_queue.name, operator_data(reason, actor, jsonb_build_object('settings', changes(to_jsonb(was), to_jsonb(current)))));
    end if;
end
$$;
comment on function set_queue is 'Sets settings of a queue: those given by name or in the object; null in the object puts one back to the default. name ''*'': the defaults of all queues.';
-- +goose StatementEnd

-- +goose StatementBegin
-- set_schedule(name, spec, ...): creates a schedule, or makes the one of this name be as is said here, all of it. What became of it: created,
-- changed, or unchanged; and when it is due next (null: never again). It goes on where it was unless its times
-- change; runs that it had, and a pause, stay.
--
--   select pgq.set_schedule('report', '30 7 * * MON-FRI', 'send_report', '{"to": 1}', zone => 'Europe/Berlin');
--
-- spec       when: a cron expression (minute, hour, day of month, month, day of week; seconds in front on demand), @hourly, @daily,
--            @weekly, @monthly, @yearly; "every 15 minutes" (of elapsed time, from the start or from now on); "at 2030-01-31 18:00"
-- kind, args, options   the job; options are other fields of enqueue_many: {"queue": "mail", "max_attempts": 3}
-- dag        or a DAG, as for dag_submit, without key: that is made of the name and the time
-- zone       whose clocks count for cron expressions and "at"; see cron_after for what happens when they change
-- jitter     fires up to this much later, each time by another part of it
-- starts_at, ends_at, max_runs   bounds
-- missed, missed_limit   times that nobody could fire: skip, once, all (the last missed_limit of them)
-- overlap    when an earlier run has not ended: allow, skip this time, queue one, cancel the earlier one
-- declared_by   who declares it in code (reconcile_schedules); null for schedules that are made by hand
--
-- Raises PQ001 with the field and the rule. Locks: the schedule's row.
-- roles: operator
create function set_schedule(
    name text, spec text, kind text default null, args jsonb default null, options jsonb default null, dag jsonb default null,
    zone text default 'UTC', jitter interval default '0', starts_at timestamptz default null, ends_at timestamptz default null,
    max_runs bigint default null, missed text default 'once', missed_limit integer default 100, overlap text default 'allow',
    declared_by text default null, out outcome text, out next_at timestamptz)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_variable
declare
    old schedules;
    new schedules;
    rule record;
    job jsonb;
begin
    perform check_schedule(name, zone, jitter, starts_at, ends_at, max_runs, missed, missed_limit, overlap, declared_by);
    rule := read_spec(spec, zone);
    if rule.problem is not null then
        perform invalid('spec', rule.problem);
    end if;
    job := case when dag is null then check_schedule_job(kind, args, options) end;
    dag := check_schedule_dag(dag, kind, args, options);
    loop
        insert into schedules (name, spec, zone, fields, period, once_at, anchor, job, dag)
        values (name, spec, zone, rule.fields, rule.period, rule.once_at, now(), job, dag)
        on conflict on constraint schedules_pkey do nothing;
        outcome := case when found then 'created' else 'unchanged' end;
        select * into old from schedules s where s.name = name for update;
        exit when found; -- else it was deleted meanwhile
    end loop;
    new := old;
    new.spec := spec;
    new.zone := zone;
    new.fields := rule.fields;
    new.period := rule.period;
    new.once_at := rule.once_at;
    new.job := job;
    new.dag := dag;
    new.jitter := jitter;
    new.starts_at := starts_at;
    new.ends_at := ends_at;
    new.max_runs := max_runs;
    new.missed := missed;
    new.missed_limit := missed_limit;
    new.overlap := overlap;
    new.declared_by := declared_by;
    if outcome = 'created' or (new.spec, new.zone, new.starts_at) is distinct from (old.spec, old.zone, old.starts_at) then
        -- Whole seconds are enough.
        new.anchor := coalesce(starts_at, date_trunc('second', now()));
        new.next_at := schedule_next(new, now());
    elsif (new.ends_at, new.max_runs) is distinct from (old.ends_at, old.max_runs) then
        new.next_at := case
            when new.next_at > ends_at or new.runs >= max_runs then null
            else coalesce(new.next_at, schedule_next(new, greatest(now(), old.last_due_at))) end;
    end if;
    if outcome = 'created' or new is distinct from old then
        outcome := case outcome when 'created' then 'created' else 'changed' end;
        new.queued_at := case when overlap = 'queue' then old.queued_at end;
        new.fire_at := case when new.paused_at is null then
            least(jittered(name, new.next_at, jitter), case when new.queued_at is not null then now() end) end;
        new.updated_at := now();
        update schedules s
        set (spec, zone, fields, period, once_at, anchor, job, dag, jitter, starts_at, ends_at, max_runs, missed, missed_limit,
             overlap, declared_by, next_at, fire_at, queued_at, updated_at)
          = (new.spec, new.zone, new.fields, new.period, new.once_at, new.anchor, new.job, new.dag, new.jitter, new.starts_at,
             new.ends_at, new.max_runs, new.missed, new.missed_limit, new.overlap, new.declared_by, new.next_at, new.fire_at,
             new.queued_at, new.updated_at)
        where s.name = name;
    end if;
    next_at := new.next_at;
end
$$;
comment on function set_schedule is 'Creates or changes a schedule.';
-- +goose StatementEnd

-- +goose StatementBegin
-- set_schedule_json(schedule, declared_by): set_schedule with its arguments as members of a JSON object; what became of the schedule. Raises
-- PQ001 for one that cannot be read. Internal: reconcile_schedules, and the Go client's SetSchedule.
-- roles: operator
create function set_schedule_json(schedule jsonb, declared_by text default null) returns text
language plpgsql security definer set search_path from current
as $$
declare
    s record;
    entry record;
begin
    for entry in
        select f.field, f.type
        from (values ('jitter', 'interval'), ('starts_at', 'timestamptz'), ('ends_at', 'timestamptz'), ('max_runs', 'bigint'),
                     ('missed_limit', 'integer')) f(field, type)
        where schedule ->> f.field is not null
    loop
        begin
            execute format('select $1::%s', entry.type) using schedule ->> entry.field;
        exception when data_exception then
            perform invalid(entry.field, format('cannot be read as %s', entry.type));
        end;
    end loop;
    select * into s
    from jsonb_to_record(schedule) r(
        name text, spec text, kind text, args jsonb, options jsonb, dag jsonb, zone text, jitter interval, starts_at timestamptz,
        ends_at timestamptz, max_runs bigint, missed text, missed_limit integer, overlap text);
    return (set_schedule(
        s.name, s.spec, s.kind, case when s.dag is null then schedule -> 'args' else s.args end, nullif(s.options, 'null'), nullif(s.dag, 'null'), coalesce(s.zone, 'UTC'),
        coalesce(s.jitter, interval '0'), s.starts_at, s.ends_at, s.max_runs, coalesce(s.missed, 'once'), coalesce(s.missed_limit, 100),
        coalesce(s.overlap, 'allow'), set_schedule_json.declared_by)).outcome;
end
$$;
comment on function set_schedule_json is 'Creates or changes a schedule that is given as JSON.';
-- +goose StatementEnd

-- +goose StatementBegin
-- setting_fields(of): which columns of queues, kinds, limits, schedules and consumers are settings, and not state, position or a time of change: those
-- that export_settings writes. Internal: export_settings, import_setting.
create function setting_fields(of text) returns text[]
language sql stable
as $$
    select array_agg(a.attname::text order by a.attnum)
    from pg_attribute a
    where a.attrelid = (select c.oid from pg_class c
                        where c.relnamespace = (select oid from pg_namespace where nspname = current_schema()) and c.relkind = 'r'
                          and c.relname = (case of when 'queue' then 'queues' when 'kind' then 'kinds' when 'limit' then 'limits'
                                                   when 'schedule' then 'schedules' when 'consumer' then 'consumers' end))
      and a.attnum > 0 and not a.attisdropped
      and a.attname not in ('name', 'scope', 'created_at', 'updated_at', 'paused_at', 'paused_by', 'pause_reason')
      -- Of schedules: how the spec was read, and how far it is. Of consumers: the position, the lease, what became of it.
      and (of <> 'schedule' or a.attname in ('spec', 'zone', 'job', 'dag', 'jitter', 'starts_at', 'ends_at', 'max_runs', 'missed', 'missed_limit',
                                             'overlap', 'declared_by'))
      and (of <> 'consumer' or a.attname in ('queues', 'types', 'keep'))
$$;
comment on function setting_fields is 'Which columns are settings.';
-- +goose StatementEnd

-- +goose StatementBegin
-- settings_of(queue_name): the settings in force for a queue: its own, else those of '*'.
-- One row always. Internal: without a search_path of its own, so that it can be inlined.
create function settings_of(queue_name text)
returns table (
    paused boolean, max_depth bigint, warn_depth bigint, max_args_bytes bigint, max_attempts integer,
    timeout interval, backoff jsonb, keep_completed interval, keep_failed interval,
    keep_cancelled interval, keep_expired interval, events text, age_every interval)
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
           coalesce(q.events, d.events),
           coalesce(q.age_every, d.age_every)
    from queues d
    left join queues q on q.name = queue_name
    where d.name = '*'
$$;
comment on function settings_of is 'Settings in force for a queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- settle(job_ids, queue_names, attempts, new_state, reason, cause_id, quiet, more): writes how jobs ended that never ran again
-- after their last place (waiting, ready or scheduled) was taken from them by the caller in the same transaction, and
-- tells their children and the sequences of which they were the heads; unless quiet it enqueues their callbacks. more: what else the events say. Internal: cancel, expire, delete and skip_in_line.
create function settle(job_ids bigint[], queue_names text[], attempts integer[], new_state text, reason text,
                       cause_id bigint default null, quiet boolean default false, more jsonb default '{}')
returns void
language plpgsql
as $$
begin
    insert into results (job_id, queue, state, attempt, expires_at, error, dag_id, cause_id)
    select u.id, u.queue, new_state, u.attempt, now() + j.result_ttl, reason, j.dag_id, settle.cause_id
    from unnest(job_ids, queue_names, attempts) u(id, queue, attempt)
    cross join lateral (select * from jobs where jobs.id = u.id offset 0) j
    order by u.id;
    perform record_event(new_state, u.id, u.queue, u.attempt, null, jsonb_strip_nulls(jsonb_build_object('error', reason, 'cause', settle.cause_id) || more))
    from unnest(job_ids, queue_names, attempts) u(id, queue, attempt);
    if not quiet and new_state <> 'skipped' then
        perform call_back(job_ids, 'on_failure')
        where exists (select from jobs j where j.id = any(job_ids) and j.spec ? 'callbacks');
    end if;
    if exists (select from edges e where e.parent_id = any(job_ids)) then
        perform doom_dags(job_ids);
        perform propagate(job_ids);
    end if;
    if exists (select from sequences s where s.job_id = any(job_ids)) then
        perform advance_sequences(job_ids);
    end if;
end
$$;
comment on function settle is 'Writes how jobs ended that were waiting.';
-- +goose StatementEnd

-- +goose StatementBegin
-- settle_probes(): looks what became of probes: one that completed closes the circuit breaker, one that failed opens it again. After one that ended
-- in another way (it was put off, cancelled, or its worker died) another one may run. Breakers that were taken away are closed.
-- Internal: tend_breakers, before the failures are counted.
-- An attempt leaves running in the transaction that notes its failure or writes its result, so one snapshot sees which it was.
create function settle_probes() returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    gate record;
begin
    for gate in
        select g.scope, g.name, g.opened_at, g.probe_id, b.break_for, f.at as failed_at, j.queue,
               b.name is null or c.job_id is not null as closes
        from gates g
        left join lateral breaker_of(g.scope, g.name) b on true
        left join lateral (
            select s.at from strikes s
            where s.scope = g.scope and s.name = g.name and s.job_id = g.probe_id and s.attempt = g.probe_attempt limit 1) f on true
        left join lateral (
            select r.job_id from results r
            where r.job_id = g.probe_id and r.attempt = g.probe_attempt and r.state = 'completed' offset 0) c on true
        left join lateral (select queue from jobs where jobs.id = g.probe_id offset 0) j on true
        where g.opened_at is not null
          and (b.name is null
               or g.probe_id is not null
               and not exists (select from running r where r.job_id = g.probe_id and r.attempt = g.probe_attempt offset 0))
        order by g.scope, g.name
    loop
        update gates g
        set probe_id = null, probe_attempt = null,
            opened_at = case when not gate.closes then g.opened_at end,
            probe_at = case when not gate.closes then coalesce(gate.failed_at + gate.break_for, g.probe_at) end,
            failed_at = case when not gate.closes then g.failed_at end
        where g.scope = gate.scope and g.name = gate.name and g.opened_at = gate.opened_at;
        continue when not found;
        if gate.closes then
            perform record_event('breaker_closed', gate.probe_id, coalesce(gate.queue, case gate.scope when 'queue' then gate.name end),
                data => jsonb_build_object('scope', gate.scope, 'name', gate.name, 'opened_at', gate.opened_at));
            perform wake_turns(gate.scope, gate.name);
            continue;
        end if;
        if gate.scope = 'group' then
            perform add_vacancies(array[gate.name]);
        end if;
        if gate.failed_at is not null then
            perform record_event('breaker_opened', gate.probe_id, gate.queue,
                data => jsonb_build_object('scope', gate.scope, 'name', gate.name, 'probe_at', gate.failed_at + gate.break_for));
        end if;
    end loop;
end
$$;
comment on function settle_probes is 'Closes circuit breakers whose probes completed, and opens those whose probes failed.';
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
-- skip_in_line(keys): skips jobs behind a failed one in those of these sequences that are to do so, 1,000 at most; their children take
-- that as the failure of the failed one. Internal: next_in_line. Returns how many were skipped.
-- Locks: rows of waiting by job, skipping those that others have locked.
create function skip_in_line(keys text[]) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
    most integer := 1000;
    one record;
    gone record;
    skipped integer := 0;
begin
    for one in
        select s.key, s.skip_to, s.cause_id from sequences s
        where s.key = any(keys) and s.skip_to is not null order by s.key
    loop
        with locked as materialized (
            select w.ctid as tid from waiting w
            where w.sequence = one.key and w.job_id > one.cause_id and w.job_id <= one.skip_to
            order by w.job_id limit most for update skip locked
        ), taken as (
            delete from waiting where ctid = any(array(select tid from locked)) returning job_id, queue, attempt
        )
        select coalesce(array_agg(job_id order by job_id), '{}') as ids, array_agg(queue order by job_id) as queues,
               array_agg(attempt order by job_id) as attempts
        into gone
        from taken;
        perform settle(gone.ids, gone.queues, gone.attempts, 'skipped',
                       format('job %s of its sequence failed', one.cause_id), one.cause_id);
        skipped := skipped + cardinality(gone.ids);
        most := most - cardinality(gone.ids);
        update sequences s set skip_to = null, cause_id = null
        where s.key = one.key
          and not exists (
              select from waiting w where w.sequence = s.key and w.job_id > s.cause_id and w.job_id <= s.skip_to);
        exit when most = 0;
    end loop;
    return skipped;
end
$$;
comment on function skip_in_line is 'Skips jobs behind a failed one.';
-- +goose StatementEnd

-- +goose StatementBegin
-- sleep_gate(queue_name): the keys of the advisory locks that a worker that sleeps on a queue holds, shared, on
-- its LISTEN connection. Sixteen: an enqueuer tries one of them alone, for a microsecond, and would take
-- another enqueuer that does so at the same moment for a sleeper. See wake.
-- roles: worker, operator, reader
create function sleep_gate(queue_name text) returns bigint[]
language sql stable security definer set search_path from current
as $$ select array(select advisory_key('sleep/' || queue_name) + shard from generate_series(0, 15) shard) $$;
comment on function sleep_gate is 'Advisory locks of workers that sleep on a queue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- sleep_on_events(): makes this session one that is woken when events are written: it listens to the channel of the events and holds the
-- gates that writers try, shared. Once the call is committed look for events once more, and again after 10, 20, 40 ms ... up to the polling
-- interval: transactions that looked at the gate before send nothing. Not through a transaction pooler. Returns the channel.
-- Locks: the gates, shared, until wake_on_events or the end of the session; each call has to be undone by one of that.
-- roles: worker, operator
create function sleep_on_events() returns text
language plpgsql security definer set search_path from current
as $$
begin
    execute format('listen %I', event_channel());
    perform pg_advisory_lock_shared(event_gate() + shard) from generate_series(0, 15) shard;
    return event_channel();
end
$$;
comment on function sleep_on_events is 'Makes this session one that is woken by events.';
-- +goose StatementEnd

-- +goose StatementBegin
-- snooze(worker_id, job_ids, attempts, delays): puts jobs that the worker holds off until later. The attempt
-- does not count. Raises PQ001 for a delay that is missing, negative or longer than 100 years,
-- and for arrays that are not of one length. Returns as fail does.
-- roles: worker
create function snooze(worker_id bigint, job_ids bigint[], attempts integer[], delays interval[])
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform check_parallel('{job_ids,attempts,delays}', array[array_dims(job_ids), array_dims(attempts), array_dims(delays)]);
    if exists (select from unnest(job_ids, delays) u(id, delay) where delay is null or delay not between interval '0' and interval '100 years') then
        perform invalid('delay', 'must be 0 to 100 years');
    end if;
    return query
        select * from end_attempts(snooze.worker_id, job_ids, attempts,
            array_fill('snooze'::text, array[coalesce(cardinality(job_ids), 0)]), delays, null, null);
end
$$;
comment on function snooze is 'Puts jobs that a worker holds off until later; the attempt does not count. Returns as fail does.';
-- +goose StatementEnd

-- +goose StatementBegin
-- snooze_job(worker_id, job_id, attempt, delay): puts one job that the worker holds off until later: snooze, for workers that are
-- written without arrays. The attempt does not count. Raises PQ001 for a delay that is missing or negative. Returns as fail_job does.
-- roles: worker
create function snooze_job(worker_id bigint, job_id bigint, attempt integer, delay interval) returns text
language sql security definer set search_path from current
as $$
    select outcome from snooze(snooze_job.worker_id, array[job_id], array[attempt], array[delay])
$$;
comment on function snooze_job is 'Puts a job that a worker holds off until later.';
-- +goose StatementEnd

-- +goose StatementBegin
-- spend(scopes, names, counts, at): takes tokens out of the buckets of those queues, kinds and groups that have a rate,
-- for attempts that begin at that time. Internal: the caller deals (deal) or looked for room (queue_room), so that nobody else writes them.
create function spend(scopes text[], names text[], counts bigint[], at timestamptz) returns void
language sql
as $$
    insert into gates as g (scope, name, tokens, refilled_at)
    select u.scope, u.name, coalesce(l.burst, l.rate) - u.n, spend.at
    from unnest(scopes, names, counts) u(scope, name, n)
    cross join lateral (
        select x.rate, x.burst from limits x where u.scope <> 'group' and x.scope = u.scope and x.name = u.name
        union all
        select x.rate, x.burst from limit_of(u.name) x where u.scope = 'group') l
    where l.rate is not null and u.n > 0
    on conflict (scope, name) do update
    set (tokens, refilled_at) = (
        select tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, spend.at)
               - (coalesce(l.burst, l.rate) - excluded.tokens), spend.at
        from (select x.rate, x.period, x.burst from limits x where g.scope <> 'group' and x.scope = g.scope and x.name = g.name
              union all
              select x.rate, x.period, x.burst from limit_of(g.name) x where g.scope = 'group') l)
$$;
comment on function spend is 'Takes tokens out of buckets.';
-- +goose StatementEnd

-- +goose StatementBegin
-- spread(job_ids, start_at, rate): schedules those of the jobs that are ready, one after the other, so many per second from a
-- time on; the time of the next one. Internal: change_jobs, which has just made them ready.
create function spread(job_ids bigint[], start_at timestamptz, rate double precision) returns timestamptz
language plpgsql
as $$
declare
    first_at constant timestamptz := greatest(start_at, now());
    gone record;
begin
    select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids, array_agg(w.attempt order by w.job_id) as attempts
    into gone from withdraw(job_ids) w;
    insert into scheduled (job_id, queue, run_at, attempt)
    select u.id, j.queue, first_at + (u.n - 1) / rate * interval '1 s', u.attempt
    from unnest(gone.ids, gone.attempts) with ordinality u(id, attempt, n)
    cross join lateral (select queue from jobs where jobs.id = u.id offset 0) j;
    return first_at + cardinality(gone.ids) / rate * interval '1 s';
end
$$;
comment on function spread is 'Schedules jobs that are ready one after the other.';
-- +goose StatementEnd

-- +goose StatementBegin
-- start_again(job_ids, attempts): makes nodes ready that were tried before, with seqs of their own, and schedules those that
-- have a delay of which nothing has passed, or a time of their own. Internal: start_nodes, which took them out of waiting. Returns the queues of those that are ready.
create function start_again(job_ids bigint[], attempts integer[]) returns text[]
language sql
as $$
    with nodes as materialized (
        select j.id, j.queue, j.priority, j.kind, n.attempt,
               case when n.attempt = 0 then coalesce(now() + (j.spec ->> 'delay')::interval, (j.spec ->> 'run_at')::timestamptz) end as run_at
        from unnest(job_ids, attempts) n(id, attempt)
        cross join lateral (select id, queue, priority, kind, spec from jobs where jobs.id = n.id offset 0) j
    ), later as (
        insert into scheduled (job_id, queue, run_at, attempt)
        select id, queue, run_at, attempt from nodes where run_at > now()
    ), again as (
        insert into ready (queue, priority, seq, job_id, attempt, kind, since)
        select queue, priority, nextval('jobs_id_seq'), id, attempt, kind, now() from nodes where run_at is null or run_at <= now()
    )
    select array_agg(distinct queue) from nodes where run_at is null or run_at <= now()
$$;
comment on function start_again is 'Makes nodes ready that were tried before.';
-- +goose StatementEnd

-- +goose StatementBegin
-- start_nodes(job_ids): takes jobs out of waiting that a handler is to run, and makes them ready, or scheduled where
-- they have a delay. Internal: the caller has locked their rows of waiting and judged that they run.
--
-- A job that never started keeps its place by age: its seq is its id, so the nodes of an old DAG come before jobs
-- that were enqueued later. What was retried and is of a sequence lines up in that; jobs with consecutive ids that are alike share rows (runs).
create function start_nodes(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    started record;
begin
    with gone as (
        delete from waiting where job_id = any(job_ids) returning job_id, attempt, sequence
    ), nodes as materialized (
        select j.id, j.queue, j.priority, j.kind, g.attempt,
               j.sequence is not null and g.sequence is null as astray,
               g.attempt = 0 and j.spec ->> 'delay' is null and j.spec ->> 'run_at' is null and (j.sequence is null or g.sequence is not null) as plain
        from gone g
        cross join lateral (select id, queue, priority, kind, spec, sequence from jobs where jobs.id = g.job_id offset 0) j
    ), islands as (
        select *, id - row_number() over (partition by queue, priority, kind order by id) as island from nodes where plain
    ), pieces as (
        select *, (row_number() over (partition by queue, priority, kind, island order by id) - 1) / max_run_size() as piece
        from islands
    ), runs as (
        insert into ready (queue, priority, seq, job_id, size, kind)
        select queue, priority, min(id), min(id), count(*), kind
        from pieces group by queue, priority, kind, island, piece
    )
    select array_agg(distinct queue) filter (where plain) as queues, array_agg(id) filter (where not plain and not astray) as others,
           array_agg(attempt) filter (where not plain and not astray) as attempts,
           array_agg(id) filter (where astray) as astray, array_agg(attempt) filter (where astray) as astray_attempts
    into started
    from nodes;
    if started.astray is not null then
        select started.others || array_agg(u.id), started.attempts || array_agg(u.attempt) into started.others, started.attempts
        from line_up(started.astray, started.astray_attempts) heads
        cross join unnest(started.astray, started.astray_attempts) u(id, attempt) where u.id = any(heads);
    end if;
    if started.others is not null then
        started.queues := started.queues || start_again(started.others, started.attempts);
    end if;
    if started.queues <> '{}' then
        perform wake(started.queues);
    end if;
end
$$;
comment on function start_nodes is 'Makes nodes ready that waited for others.';
-- +goose StatementEnd

-- +goose StatementBegin
-- start_scheduled(names, targets, are_dags): enqueues what schedule_job returned for schedules; DAGs are submitted. The ids of the
-- jobs, in order; where one could not be enqueued null, with the SQLSTATE and the message. All jobs at once, and one by
-- one only if there is one among them that is refused; after one that a full queue refuses (PQ002) those of the same
-- schedule are not tried. Internal: fire_schedules and run_schedule, as an owner of the schema would do it.
create function start_scheduled(
    names text[], targets jsonb[], are_dags boolean[], out ids bigint[], out states text[], out errors text[])
language plpgsql
as $$
declare
    n constant integer := cardinality(targets);
    job_places constant integer[] := array(select i from generate_subscripts(targets, 1) i where not are_dags[i] order by i);
    -- Deadlocks, timeouts, a shutdown, a lack of resources say nothing against the job, and pass.
    passing constant text := '^(40|53|55|57|58|XX)';
    at_once bigint[];
begin
    ids := array_fill(null::bigint, array[n]);
    states := array_fill(null::text, array[n]);
    errors := states;
    perform act_as_owner(true);
    begin
        if job_places <> '{}' then
            at_once := array(
                select j from enqueue_many((select jsonb_agg(targets[i] order by p) from unnest(job_places) with ordinality u(i, p))) j);
        end if;
    exception when others then
        if sqlstate ~ passing then
            raise;
        end if;
    end;
    for place in 1 .. coalesce(cardinality(at_once), 0) loop
        ids[job_places[place]] := at_once[place];
    end loop;
    for i in 1 .. n loop
        continue when ids[i] is not null;
        if i > 1 and names[i] = names[i - 1] and states[i - 1] = 'PQ002' then
            states[i] := states[i - 1];
            errors[i] := errors[i - 1];
            continue;
        end if;
        begin
            if are_dags[i] then
                ids[i] := (select d.dag_id from dag_submit(targets[i]) d);
            else
                ids[i] := (select j from enqueue_many(jsonb_build_array(targets[i])) j);
            end if;
        exception when others then
            if sqlstate ~ passing then
                raise;
            end if;
            states[i] := sqlstate;
            errors[i] := left(sqlerrm, 1000);
        end;
    end loop;
    perform act_as_owner(false);
end
$$;
comment on function start_scheduled is 'Enqueues what schedules are to enqueue.';
-- +goose StatementEnd

-- +goose StatementBegin
-- subscribe(subscriber_id, alive_for): registers a reader of the event stream (null: a new one), or says that it
-- lives. From then on every verb writes its events. Returns its id and the id of the newest event. A reader is that of the database role that
-- registered it: another role that is no owner gets a new one, as for an id that is gone. Raises PQ001 for a time that is not 1 ms to 1 day.
-- roles: operator, reader
create function subscribe(subscriber_id bigint default null, alive_for interval default '30 s')
returns table (id bigint, last_event_id bigint)
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
declare
    reader bigint;
begin
    if alive_for is null or alive_for not between interval '1 ms' and interval '1 day' then
        perform invalid('alive_for', 'must be 1 ms to 1 day');
    end if;
    update subscribers s set alive_until = clock_timestamp() + alive_for
    where s.id = subscriber_id and (s.role_id = caller() or is_owner(caller()))
    returning s.id into reader;
    if not found then
        insert into subscribers (alive_until, role_id) values (clock_timestamp() + alive_for, caller())
        returning subscribers.id into reader;
    end if;
    return query select reader, coalesce((select max(e.id) from events e), 0);
end
$$;
comment on function subscribe is 'Registers a reader of the event stream.';
-- +goose StatementEnd

-- +goose StatementBegin
-- suspend(worker_id, job_ids, attempts, names): puts off jobs that the worker holds and whose handlers sleep or wait for a signal
-- (await_step), each until the step of this name is over; without a slot, and the attempts do not count. A job whose signal has come
-- meanwhile is ready at once. Jobs with a time to live were started and do not expire any more. Raises PQ001 for arrays that are not
-- of one length. Returns as fail does.
--
-- No wake-up is lost between the handler's look (await_step) and this: send_signal and suspend hold the job's lock signal/<id>,
-- each until its transaction ends, and look after they have got it, in a statement, and so with a snapshot, of its own.
-- * The sender had the lock first and has committed: the step is over here, and the job gets ready.
-- * suspend had it first: the sender waits, then finds the job in scheduled and makes it ready.
-- * The sender has it now: it has looked for the job in scheduled, in vain, or is about to, so it cannot be relied upon. It is not
--   waited for, because its transaction may be a long one: the job is looked at again in 200 ms, when its handler gets to the step anew.
-- The same holds for a job that gets to scheduled in another way: its handler looks when it runs again.
-- Locks: signal/<id> of those that wait for a signal, tried; then rows of running in the order of their ids, jobs and expiries of those with a time to live.
-- roles: worker
create function suspend(worker_id bigint, job_ids bigint[], attempts integer[], names text[])
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    free boolean[];
    delays interval[];
    held bigint[];
begin
    perform check_parallel('{job_ids,attempts,names}', array[array_dims(job_ids), array_dims(attempts), array_dims(names)]);
    free := array(
        select s.type is distinct from 'signal' or pg_try_advisory_xact_lock(advisory_key('signal/' || u.id))
        from unnest(job_ids, names) with ordinality u(id, name, place)
        left join lateral (select * from steps where steps.job_id = u.id and steps.name = u.name offset 0) s on true
        order by u.place);
    delays := array(
        select case
            when not free[u.place] then interval '200 ms'
            when s.done_at is not null then interval '0'
            when s.wake_at is not null then greatest(interval '0', s.wake_at - clock_timestamp())
            when s.job_id is not null then interval '100 years'
            else interval '0' end
        from unnest(job_ids, names) with ordinality u(id, name, place)
        left join lateral (select * from steps where steps.job_id = u.id and steps.name = u.name offset 0) s on true
        order by u.place);
    held := array(
        select r.job_id
        from unnest(job_ids, attempts) u(id, attempt)
        cross join lateral (
            select * from running where running.job_id = u.id and running.attempt = u.attempt and running.worker_id = suspend.worker_id
            offset 0) r
        order by r.job_id);
    return query
        select e.job_id, e.outcome
        from end_attempts(suspend.worker_id, job_ids, attempts, array_fill('snooze'::text, array[coalesce(cardinality(job_ids), 0)]), delays, null,
                          array(select jsonb_build_object('step', name) from unnest(names) with ordinality n(name, place) order by place)) e;
    -- By id, since expiries is found by its time.
    held := array(select j.id from jobs j where j.id = any(held) and j.expires_at is not null order by j.id);
    if held <> '{}' then
        delete from expiries where ctid = any(array(
            select e.tid from jobs j
            cross join lateral (
                select x.ctid as tid from expiries x where x.expires_at = j.expires_at and x.job_id = j.id offset 0) e
            where j.id = any(held)));
        update jobs set expires_at = null where id = any(held);
    end if;
end
$$;
comment on function suspend is 'Puts jobs off until what their handlers wait for.';
-- +goose StatementEnd

-- +goose StatementBegin
-- take_aged(queue_name, wanted, batch, only_kinds, after, age_every): takes up to batch rows out of ready for a claim of a queue whose jobs age: in the order
-- of the time since when they are ready plus age_every for each priority below the soonest. So a job goes before all that become ready later than
-- so many times age_every after it, however soon their priority. keeps: how many jobs of each row (a run) the claim keeps, wanted together at the most; the rest it puts back.
-- n is 0 when nothing is there, or others have locked it. Internal: claim, which takes from other queues by itself.
--
-- That order never changes while time passes, and within a priority it is that of seq: so the batch soonest of all are among the batch first of each
-- priority, and cursors per priority are as good as ever. (Transactions draw seqs in another order than they begin, in which case a job counts as ready since
-- the one before it was.) Candidates are read without locks and then locked in order until there are enough, so nobody's claim is in the way of jobs that
-- it does not take; those that others have locked are passed over, as by any claim, and the next round looks behind them, at twice as many.
-- Locks: rows of ready, skipping those that others have locked.
create function take_aged(
    queue_name text, wanted integer, batch integer, only_kinds text[], after bigint[], age_every interval,
    out n bigint, out jobs bigint, out job_ids bigint[], out seqs bigint[], out priorities smallint[], out sizes integer[],
    out keeps integer[], out attempts integer[], out kinds text[], out sinces timestamptz[])
language plpgsql
as $$
#variable_conflict use_column
declare
    places bigint[] := array(select coalesce(after[p], 0) from generate_series(1, 10) p); -- of each priority, behind which to look
    width integer := batch;
    found_now record;
begin
    n := 0;
    jobs := 0;
    loop
        with heads as materialized (
            select c.tid, c.priority, c.seq, max(coalesce(c.since, j.created_at) + c.priority * age_every) over (partition by c.priority order by c.seq) as due
            from generate_series(0, 9) p
            cross join lateral (
                select r.ctid as tid, r.priority, r.seq, r.job_id, r.since
                from ready r
                where r.queue = queue_name and r.priority = p and r.seq > places[p + 1] and (only_kinds is null or r.kind = any(only_kinds))
                order by r.seq
                limit width) c
            left join lateral (select created_at from jobs where id = c.job_id and c.since is null offset 0) j on true
            -- As in claim: none that was enqueued after a pause is taken.
            where not exists (select from queues q where q.name = queue_name and q.paused_at is not null)
        ), soonest as materialized (
            select * from heads order by due, priority, seq limit width
        ), picked as materialized (
            select s.due, r.*
            from (select * from soonest order by due, priority, seq) s
            cross join lateral (
                select c.ctid as tid, c.* from ready c where c.ctid = s.tid for update skip locked) r
            limit batch - n
        ), cut as materialized (
            select p.*, least(p.size, greatest(0, wanted - take_aged.jobs - sum(p.size) over (order by p.due, p.priority, p.seq) + p.size))::integer as keep
            from picked p
        ), taken as (
            delete from ready where ctid = any(array(select tid from cut where keep > 0))
        )
        select (select count(*) from picked) as n, coalesce(sum(size), 0) as jobs, array_agg(job_id order by due, priority, seq) as job_ids,
               array_agg(seq order by due, priority, seq) as seqs, array_agg(priority order by due, priority, seq) as priorities,
               array_agg(size order by due, priority, seq) as sizes, array_agg(keep order by due, priority, seq) as keeps,
               array_agg(attempt order by due, priority, seq) as attempts, array_agg(kind order by due, priority, seq) as kinds,
               array_agg(since order by due, priority, seq) as sinces,
               (select count(*) from soonest) as seen,
               array(select greatest(places[p], (select max(s.seq) from soonest s where s.priority = p - 1)) from generate_series(1, 10) p) as places
        into found_now
        from cut
        where keep > 0;
        n := n + found_now.n;
        jobs := jobs + found_now.jobs;
        job_ids := job_ids || found_now.job_ids;
        seqs := seqs || found_now.seqs;
        priorities := priorities || found_now.priorities;
        sizes := sizes || found_now.sizes;
        keeps := keeps || found_now.keeps;
        attempts := attempts || found_now.attempts;
        kinds := kinds || found_now.kinds;
        sinces := sinces || found_now.sinces;
        exit when n >= batch or jobs >= wanted or found_now.seen < width;
        places := found_now.places;
        width := 2 * width;
    end loop;
end
$$;
comment on function take_aged is 'Takes rows out of ready for a claim of a queue whose jobs age.';
-- +goose StatementEnd

-- +goose StatementBegin
-- take_keys(keys, job_ids, whiles, holds, conflicts): what becomes of new jobs that are to be unique, by place: added, or,
-- where an earlier one with the key bars it, existing or replaced, with the id of that one. job_ids: those that the new
-- ones would have; whiles: queued or unfinished; holds: until when they bar others at least; conflicts: existing, replace, error. Of equal keys
-- among them the first one counts. taken_at: since when the key stands for the job.
-- Raises PQ007 for a conflict that is to be an error; 42501 if the caller may not know of that job. Internal: enqueue_jobs, and the Go client's EnqueueMany
-- for owners: whoever may call it can take any key from others.
--
-- Why there are never two, and never none: all that want a key meet at its row, in the order of the keys. Who inserts it
-- makes the others wait for its end: then the row is there (committed), or is not (rolled back), and one of
-- them inserts it. Where the earlier job is gets looked up in a later statement, whose snapshot sees what the row
-- was waited for. A job that bars others only until it starts is locked where it is queued, so that claims pass it by
-- until this transaction has ended: it will see what the caller has written.
-- Locks: rows of unique_keys by key; then, shared unless they may be replaced, of waiting and scheduled by job and of ready by key.
-- roles: owner
create function take_keys(keys text[], job_ids bigint[], whiles text[], holds timestamptz[], conflicts text[])
returns table (place integer, outcome text, job_id bigint, taken_at timestamptz)
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    mine record;  -- the keys, each with the place where it comes first
    taken record; -- those that stand for other jobs
    over record;  -- those of jobs that bar no others any more
    refused record;
    queued bigint[];
    n bigint;
begin
    select array_agg(f.key order by f.key) as keys, array_agg(f.place::integer order by f.key) as places
    into mine
    from (select distinct on (k.key) k.key, k.place
          from (select key collate "C" as key, place from unnest(take_keys.keys) with ordinality u(key, place)) k
          where k.key is not null order by k.key, k.place) f;
    for round in 1 .. 100 loop
        insert into unique_keys (key, job_id, holds_until)
        select f.key, job_ids[f.place], holds[f.place]
        from unnest(mine.keys, mine.places) f(key, place)
        order by f.key collate "C"
        on conflict do nothing;
        get diagnostics n = row_count;
        if round = 1 and n = cardinality(mine.keys) and n = cardinality(keys) then
            return query select k.place::integer, 'added', job_ids[k.place], now() from generate_series(1, n) k(place);
            return;
        end if;
        exit when n = cardinality(mine.keys);
        perform u.key from unique_keys u where u.key = any(mine.keys) order by u.key for update;
        get diagnostics n = row_count;
        exit when n = cardinality(mine.keys);
    end loop;
    if n < cardinality(mine.keys) then
        perform too_busy(job_ids);
    end if;
    for round in 1 .. 100 loop
        select array_agg(f.place) as places, array_agg(k.key) as keys, array_agg(k.job_id) as holders,
               array_agg(k.taken_at) as since, array_agg(p.place) as states,
               array_agg(coalesce(k.holds_until > now(), false) or p.place in ('waiting', 'scheduled', 'ready')
                         or p.place in ('running', 'lost') and whiles[f.place] = 'unfinished') as bars
        into taken
        from unnest(mine.keys, mine.places) f(key, place)
        join (select * from unique_keys where key = any(mine.keys) offset 0) k on k.key = f.key and k.job_id <> job_ids[f.place]
        join places(array(select u.job_id from unique_keys u where u.key = any(mine.keys))) p on p.job_id = k.job_id;
        queued := array(
            select t.holder
            from unnest(taken.places, taken.holders, taken.states) t(place, holder, state)
            where t.state in ('waiting', 'scheduled', 'ready')
              and (whiles[t.place] = 'queued' or conflicts[t.place] = 'replace'));
        queued := array(select unnest(queued) except select pin_queued(queued, 'replace' = any(conflicts)));
        exit when queued = '{}';
    end loop;
    if queued <> '{}' then
        perform too_busy(queued);
    end if;
    select k.key, t.holder into refused
    from (select key collate "C" as key, place from unnest(take_keys.keys) with ordinality u(key, place)) k
    join unnest(mine.keys, mine.places) f(key, place) on f.key = k.key
    left join unnest(taken.places, taken.holders, taken.bars) t(place, holder, bars) on t.place = f.place
    where conflicts[k.place] = 'error' and (t.bars or k.place <> f.place)
    order by k.place limit 1;
    if found then
        perform check_holders(array[refused.holder]);
        raise exception using
            errcode = 'PQ007',
            message = format('there is a job with the unique key %s already%s', to_json(refused.key), ': ' || refused.holder);
    end if;
    select array_agg(t.key) as keys, array_agg(t.place) as places into over
    from unnest(taken.keys, taken.places, taken.bars) t(key, place, bars) where not t.bars;
    if over.keys is not null then
        update unique_keys u
        set job_id = job_ids[o.place], taken_at = now(), holds_until = holds[o.place]
        from unnest(over.keys, over.places) o(key, place)
        where u.key = any(over.keys) and o.key = u.key;
    end if;
    return query
        with firsts as materialized (
            select f.key, f.place, coalesce(not t.bars, true) as is_new, t.holder, t.since,
                   t.bars and conflicts[f.place] = 'replace' and t.state in ('scheduled', 'ready') as replaces
            from unnest(mine.keys, mine.places) f(key, place)
            left join unnest(taken.places, taken.holders, taken.since, taken.states, taken.bars)
                      t(place, holder, since, state, bars) on t.place = f.place
        )
        select k.place::integer,
               case when f.is_new and k.place = f.place then 'added'
                    when conflicts[k.place] = 'replace' and (f.is_new or f.replaces) then 'replaced'
                    else 'existing' end,
               case when f.is_new then job_ids[f.place] else f.holder end,
               case when f.is_new then now() else f.since end
        from (select key collate "C" as key, place from unnest(take_keys.keys) with ordinality u(key, place)) k
        join firsts f on f.key = k.key
        order by k.place;
end
$$;
comment on function take_keys is 'What becomes of new jobs that are to be unique.';
-- +goose StatementEnd

-- +goose StatementBegin
-- take_sequences(keys, job_ids): lets new jobs into the sequences with these keys, by place (null: in none), until the transaction ends, and returns
-- those that are the heads of them: the first ones of sequences that had no unfinished job. All others are to wait in line, in the order
-- of their ids. Internal: enqueue_jobs, line_up, and the Go client's EnqueueMany for owners.
--
-- Those that add jobs to a sequence share its row and do not wait for each other. Only who begins a sequence makes others wait, who would begin it, too, until it
-- has committed or not. Whoever ends the head deletes the row of a sequence in which nobody waits, but only when nobody shares it (next_in_line): those that
-- come then find it gone and begin the sequence anew.
-- Locks: rows of sequences by key: those that are there shared (for key share).
-- roles: owner
create function take_sequences(keys text[], job_ids bigint[]) returns bigint[]
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
declare
    mine record;
    begun bigint[];
    heads bigint[] := '{}';
    n integer := 0;
begin
    select array_agg(f.key order by f.key) as keys, array_agg(f.id order by f.key) as ids
    into mine
    from (select key collate "C" as key, min(id) as id from unnest(keys, job_ids) u(key, id) where key is not null group by 1) f;
    if mine.keys is null then
        return heads;
    end if;
    for round in 1 .. 100 loop
        with added as (
            insert into sequences (key, job_id)
            select f.key, f.id from unnest(mine.keys, mine.ids) f(key, id) order by f.key collate "C"
            on conflict do nothing
            returning job_id
        )
        select coalesce(array_agg(job_id), '{}') into begun from added;
        heads := heads || begun;
        exit when cardinality(heads) = cardinality(mine.keys);
        perform s.key from sequences s where s.key = any(mine.keys) order by s.key for key share;
        get diagnostics n = row_count;
        exit when n = cardinality(mine.keys);
    end loop;
    if n < cardinality(mine.keys) and cardinality(heads) < cardinality(mine.keys) then
        perform too_busy(job_ids);
    end if;
    if cardinality(heads) < cardinality(mine.keys) and exists (select from sequences s where s.key = any(mine.keys) and s.job_id is null) then
        perform wake_chores();
    end if;
    return heads;
end
$$;
comment on function take_sequences is 'Lets new jobs into sequences; returns the heads among them.';
-- +goose StatementEnd

-- +goose StatementBegin
-- tend_backlogs(at_most): what there is to do about jobs that wait for their turn besides dealing, every few seconds: adds rows of backlogs that are
-- missing, takes away double ones, full buckets and old failures. Goes on where the last call has stopped (chores.key), at_most groups and gates at a
-- time; until all groups were looked at it is due again twice a second. Internal: do_chores.
-- Locks: the advisory lock "deal", if it is free.
create function tend_backlogs(at_most integer default 2000) returns void
language plpgsql
as $$
declare
    now constant timestamptz := clock_timestamp();
    place jsonb; -- where the last call has stopped: queue, group, kind and priority; scope and name
    page record;
    gate record;
begin
    if not pg_try_advisory_xact_lock(advisory_key('deal')) then
        return;
    end if;
    select coalesce(nullif(c.key, ''), '["", "", "", 0, "", ""]')::jsonb into place from chores c where c.name = 'backlogs';
    -- From one group to the next along the index, not job by job.
    with recursive line as (
        (select w.queue, w.group_name, w.kind, w.priority, 1 as n from waiting w
         where w.role = 'turn' and (w.queue, w.group_name, w.kind, w.priority) > (place ->> 0, place ->> 1, place ->> 2, (place ->> 3)::smallint)
         order by w.queue, w.group_name, w.kind, w.priority limit 1)
        union all
        select n.*, p.n + 1
        from line p
        cross join lateral (
            select w.queue, w.group_name, w.kind, w.priority from waiting w
            where w.role = 'turn' and (w.queue, w.group_name, w.kind, w.priority) > (p.queue, p.group_name, p.kind, p.priority)
            order by w.queue, w.group_name, w.kind, w.priority limit 1) n
        where p.n < at_most
    )
    select array_agg(p.queue order by p.n) as queues, array_agg(p.group_name order by p.n) as groups, array_agg(p.kind order by p.n) as kinds,
           array_agg(p.priority order by p.n) as priorities, count(*) as n
    into page from line p;
    if page.n > 0 then
        perform add_backlogs(page.queues, page.groups, page.kinds, page.priorities);
        delete from backlogs b
        where b.ctid = any(array(
            select x.tid
            from unnest(page.queues, page.groups, page.kinds, page.priorities) u(queue, group_name, kind, priority)
            cross join lateral (
                select y.ctid as tid, row_number() over (order by y.emptied_at is null desc, y.turn desc) as n from backlogs y
                where y.queue = u.queue and y.group_name = u.group_name and y.kind = u.kind and y.priority = u.priority offset 0) x
            where x.n > 1));
    end if;
    with looked as materialized (
        select g.ctid as tid, g.scope, g.name,
               coalesce(g.paused_until, '-infinity') <= now
               and g.opened_at is null
               and not exists (select from breaker_of(g.scope, g.name) b where g.failed_at[cardinality(g.failed_at)] > now - b.break_within)
               and not exists (
                   select from (select * from limits l where g.scope <> 'group' and l.scope = g.scope and l.name = g.name
                                union all
                                select l.* from limit_of(g.name) l where g.scope = 'group') l
                   where tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, now) < coalesce(l.burst, l.rate)) as useless
        from (select x.ctid, x.* from gates x where (x.scope, x.name) > (place ->> 4, place ->> 5) order by x.scope, x.name limit at_most) g
    ), gone as (
        delete from gates g where g.ctid = any(array(select l.tid from looked l where l.useless))
    )
    select count(*) as n, (array_agg(l.scope order by l.scope, l.name))[at_most] as scope, (array_agg(l.name order by l.scope, l.name))[at_most] as name
    into gate from looked l;
    update chores c
    set key = jsonb_build_array(coalesce(page.queues[at_most], ''), coalesce(page.groups[at_most], ''), coalesce(page.kinds[at_most], ''),
                                coalesce(page.priorities[at_most], 0), coalesce(gate.scope, ''), coalesce(gate.name, ''))::text,
        last_run_at = case when page.n < at_most then c.last_run_at else least(c.last_run_at, now - interval '4.5 s') end
    where c.name = 'backlogs' and (c.key <> '' or page.n = at_most or gate.n = at_most);
end
$$;
comment on function tend_backlogs is 'Keeps the list of groups whose jobs wait for their turn complete.';
-- +goose StatementEnd

-- +goose StatementBegin
-- tend_breakers(): closes and opens circuit breakers by what probes came to and which attempts failed. Internal: deal and queue_room, before they
-- look for room, and do_chores.
-- A failure that was committed before this statement is counted: no job starts by a claim that begins after the last failure that it
-- takes. Nothing to do mostly, for two looks at empty indexes.
-- Locks: the advisory lock "deal", if it is free; rows of gates.
create function tend_breakers() returns void
language plpgsql
as $$
begin
    if (exists (select from strikes) or exists (select from gates g where g.opened_at is not null))
       and pg_try_advisory_xact_lock(advisory_key('deal')) then
        perform settle_probes();
        perform count_strikes();
    end if;
end
$$;
comment on function tend_breakers is 'Closes and opens circuit breakers.';
-- +goose StatementEnd

-- +goose StatementBegin
-- time_after(fields, period, once_at, zone, anchor, after): the first instant after one at which a schedule is due that read_spec has
-- read; null: none any more. Periods are of elapsed time, counted from the anchor, which is due itself. Internal.
create function time_after(
    fields bigint[], period interval, once_at timestamptz, zone text, anchor timestamptz, after timestamptz)
returns timestamptz
language plpgsql immutable
as $$
declare
    length constant numeric := extract(epoch from period);
begin
    if once_at is not null then
        return case when once_at > after then once_at end;
    elsif period is not null then
        return case when anchor > after then anchor
                    else anchor + make_interval(secs => ((floor(extract(epoch from after - anchor) / length) + 1) * length)::float8) end;
    end if;
    return cron_after(fields, zone, after);
end
$$;
comment on function time_after is 'When a schedule is due next.';
-- +goose StatementEnd

-- +goose StatementBegin
-- tokens_at(rate, period, burst, tokens, refilled_at, at): how many tokens a bucket has at a time: as many as burst (null: rate) at the
-- most, and at the beginning. Internal, inlined. Token bucket as in J. S. Turner, "New directions in communications", 1986.
create function tokens_at(rate integer, period interval, burst integer, tokens double precision, refilled_at timestamptz, at timestamptz)
returns double precision
language sql immutable
as $$
    select least(coalesce(burst, rate),
                 coalesce(tokens + greatest(0, extract(epoch from at - refilled_at)) * rate / extract(epoch from period), coalesce(burst, rate)))
$$;
comment on function tokens_at is 'How many tokens a bucket has at a time.';
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
-- transactions_look(at_least): which transactions have ended in the snapshot of the statement that calls it: those below xid that are not
-- among open; xid is above at_least. Open is the own one, too, which PostgreSQL leaves out, and all from the snapshot's xmax on: they may
-- have begun. (Numbers of subtransactions among these do no harm: no event has one.) Internal, inlined.
create function transactions_look(at_least xid8) returns table (xid xid8, open xid8[])
language sql stable
as $$
    select b.border,
           array(select x from pg_snapshot_xip(s) x
                 union
                 select own from pg_current_xact_id_if_assigned() own where own < b.border
                 union
                 select n::text::xid8 from generate_series(pg_snapshot_xmax(s)::text::bigint, b.border::text::bigint - 1) n)
    from pg_current_snapshot() s
    cross join lateral (select greatest(pg_snapshot_xmax(s), (at_least::text::bigint + 1)::text::xid8) as border) b
$$;
comment on function transactions_look is 'Which transactions have ended.';
-- +goose StatementEnd

-- +goose StatementBegin
-- unique_key(spec, kind, queue, args): the key of a job that is to be unique: spec.key as it is, or, for spec.by, the kind and what is named:
-- "queue", "args" (all of them), "args.customer.id" (a member; null where it is missing). With a period also which
-- one it is, counted from 1970. Keys that would be longer than 500 characters are hashed. The Go client works out most keys of bulks itself
-- (pgq/unique_key.go): whatever changes here changes there. Internal.
create function unique_key(spec jsonb, kind text, queue text, args jsonb) returns text
language plpgsql stable
as $$
declare
    key text := spec ->> 'key';
    name text;
    seconds numeric;
begin
    if key is null then
        key := 'kind=' || to_json(kind);
        for name in select distinct b collate "C" as b from jsonb_array_elements_text(spec -> 'by') b order by b loop
            key := key || ' ' || name || '=' || case name
                when 'queue' then to_json(queue)::text
                when 'args' then coalesce(args, 'null')::text
                else coalesce(args #> (string_to_array(name, '.'))[2:], 'null')::text end;
        end loop;
    end if;
    if spec ? 'period' then
        seconds := trim_scale(extract(epoch from (spec ->> 'period')::interval));
        key := key || ' period=' || floor(extract(epoch from now()) / seconds) || '*' || seconds;
    end if;
    return case when length(key) <= 500 then key else 'sha256:' || encode(sha256(convert_to(key, 'UTF8')), 'hex') end;
end
$$;
comment on function unique_key is 'The key of a job that is to be unique.';
-- +goose StatementEnd

-- +goose StatementBegin
-- unique_problem(spec): the first rule that the field "unique" of a job breaks, as {field, rule}; null when none. Its members:
--   key          a text; or
--   by           what makes a job the same: a list of "args", "args.NAME..." and "queue"; the kind always counts
--   while        queued: until it starts to run; unfinished (the default): until it ends
--   for          an interval: bars others for this long, even when it has ended
--   period       an interval: one in each, counted from 1970, even when it has ended
--   on_conflict  existing (the default): its id is returned; replace: a queued one takes the new args, metadata, tags, time and
--                ways to retry; error: PQ007
--   debounce     {"wait": ..., "max_wait": ...}: runs when nobody has asked for it for the time of wait; the last args win
--   throttle     {"every": ..., "edge": "leading"|"trailing"}: runs once per interval: at once, or at its end with the last args
-- Internal.
create function unique_problem(spec jsonb) returns text[]
language plpgsql stable
as $$
declare
    field text;
    part text;
begin
    if jsonb_typeof(spec) <> 'object' then
        return array['unique', 'must be a JSON object'];
    end if;
    select k into field from jsonb_object_keys(spec) k
    where k not in ('key', 'by', 'while', 'for', 'period', 'on_conflict', 'debounce', 'throttle') limit 1;
    if found then
        return array['unique', format('has an unknown field %s', to_json(field))];
    elsif (spec ? 'key') = (spec ? 'by') then
        return array['unique', 'must have either a key or by'];
    elsif spec ? 'key' and (jsonb_typeof(spec -> 'key') <> 'string' or length(spec ->> 'key') not between 1 and 450) then
        return array['unique.key', 'must be a text of 1 to 450 characters'];
    elsif spec ? 'by' and (jsonb_typeof(spec -> 'by') <> 'array' or jsonb_array_length(spec -> 'by') > 32
            or exists (select from jsonb_array_elements(spec -> 'by') b
                       where jsonb_typeof(b) <> 'string' or (b #>> '{}') !~ '^(queue|args(\.[^.]+)*)$')) then
        return array['unique.by', 'must be a list of up to 32 of "queue", "args" and "args.NAME"'];
    elsif coalesce(spec -> 'while', '"queued"') not in ('"queued"', '"unfinished"') then
        return array['unique.while', 'must be queued or unfinished'];
    elsif coalesce(spec -> 'on_conflict', '"existing"') not in ('"existing"', '"replace"', '"error"') then
        return array['unique.on_conflict', 'must be existing, replace or error'];
    elsif spec ? 'for' and spec ? 'period' then
        return array['unique.period', 'must not be given together with for'];
    elsif (select count(*) from unnest('{debounce,throttle}'::text[]) k where spec ? k) = 2 then
        return array['unique.throttle', 'must not be given together with debounce'];
    elsif (spec ?| '{debounce,throttle}') and (spec ?| '{while,for,period,on_conflict}') then
        return array['unique', 'must not have while, for, period or on_conflict together with debounce or throttle'];
    end if;
    foreach part in array '{debounce,throttle}'::text[] loop
        if jsonb_typeof(spec -> part) <> 'object' then
            return array['unique.' || part, 'must be a JSON object'];
        end if;
        select k into field from jsonb_object_keys(spec -> part) k
        where k <> all(case part when 'debounce' then '{wait,max_wait}'::text[] else '{every,edge}' end) limit 1;
        if found then
            return array['unique.' || part, format('has an unknown field %s', to_json(field))];
        end if;
    end loop;
    if coalesce(spec #> '{throttle,edge}', '"leading"') not in ('"leading"', '"trailing"') then
        return array['unique.throttle.edge', 'must be leading or trailing'];
    elsif spec ? 'debounce' and not (spec -> 'debounce') ? 'wait' then
        return array['unique.debounce.wait', 'must be given'];
    elsif spec ? 'throttle' and not (spec -> 'throttle') ? 'every' then
        return array['unique.throttle.every', 'must be given'];
    end if;
    foreach field in array '{for,period,debounce.wait,debounce.max_wait,throttle.every}'::text[] loop
        part := spec #>> string_to_array(field, '.');
        continue when part is null;
        begin
            if part::interval not between interval '1 ms' and interval '100 years' then
                return array['unique.' || field, 'must be 1 ms to 100 years'];
            end if;
        exception when data_exception then
            return array['unique.' || field, 'must be an interval'];
        end;
    end loop;
    return null;
end
$$;
comment on function unique_problem is 'What is wrong with how a job is to be unique.';
-- +goose StatementEnd

-- +goose StatementBegin
-- unique_until(spec): until when a job that is enqueued now bars others with its key, whatever becomes of it; null: for no such time. Internal.
create function unique_until(spec jsonb) returns timestamptz
language plpgsql stable
as $$
declare
    seconds numeric;
begin
    if spec ? 'for' then
        return now() + (spec ->> 'for')::interval;
    elsif spec ? 'period' then
        seconds := extract(epoch from (spec ->> 'period')::interval);
        return to_timestamp((floor(extract(epoch from now()) / seconds) + 1) * seconds);
    elsif spec ? 'throttle' and unique_wait(spec) is null then
        return now() + (spec #>> '{throttle,every}')::interval;
    end if;
    return null;
end
$$;
comment on function unique_until is 'Until when a job bars others, whatever becomes of it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- unique_verdicts(jobs, job_ids): the keys of those jobs of a JSON array that are to be unique and what becomes of all (take_keys), by
-- place; nulls when none is to be unique. Internal: enqueue_jobs. Locks what take_keys locks.
create function unique_verdicts(
    jobs jsonb, job_ids bigint[], out keys text[], out outcomes text[], out ids bigint[], out since timestamptz[])
language plpgsql
as $$
#variable_conflict use_column
begin
    if not jsonb_path_exists(jobs, '$[*].unique') then
        return;
    end if;
    with wanted as materialized (
        select i.index + 1 as place,
               case when i.uniqueness is not null then unique_key(i.uniqueness, i.kind, i.queue, i.args) end as key,
               case when i.uniqueness ?| '{debounce,throttle}' then 'queued'
                    else coalesce(i.uniqueness ->> 'while', 'unfinished') end as while,
               unique_until(i.uniqueness) as holds_until,
               case when unique_wait(i.uniqueness) is not null then 'replace'
                    else coalesce(i.uniqueness ->> 'on_conflict', 'existing') end as conflict
        from jobs_from_json(unique_verdicts.jobs) i
    ), said as (
        select t.*
        from (select array_agg(key order by place) as keys, array_agg("while" order by place) as whiles,
                     array_agg(holds_until order by place) as holds, array_agg(conflict order by place) as conflicts
              from wanted) a
        cross join lateral take_keys(a.keys, job_ids, a.whiles, a.holds, a.conflicts) t
    )
    select array_agg(w.key order by w.place), array_agg(coalesce(s.outcome, 'added') order by w.place),
           array_agg(coalesce(s.job_id, job_ids[w.place]) order by w.place), array_agg(s.taken_at order by w.place)
    into keys, outcomes, ids, since
    from wanted w
    left join said s on s.place = w.place;
end
$$;
comment on function unique_verdicts is 'What becomes of jobs that are to be unique.';
-- +goose StatementEnd

-- +goose StatementBegin
-- unique_wait(spec): how long a job that is debounced, or throttled at the end of the interval, waits; null for others. Internal, inlined.
create function unique_wait(spec jsonb) returns interval
language sql stable
as $$
    select coalesce((spec #>> '{debounce,wait}')::interval,
                    case when spec #>> '{throttle,edge}' = 'trailing' then (spec #>> '{throttle,every}')::interval end)
$$;
comment on function unique_wait is 'How long a debounced job waits.';
-- +goose StatementEnd

-- +goose StatementBegin
-- unknown_kinds(queue_names): kinds of jobs at the heads of queues that no living worker of these queues knows, so
-- that they stay ready. Looks at the first 1,000 rows of each queue, and at the
-- kinds of jobs that wait for their turn.
-- roles: worker, operator, reader
create function unknown_kinds(queue_names text[]) returns table (queue text, kind text)
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
    select distinct h.queue, h.kind
    from unnest(queue_names) q(name)
    cross join lateral (
        (select r.queue, r.kind from ready r where r.queue = q.name order by r.priority, r.seq limit 1000)
        union all
        select q.name, k.kind from kinds_in_line(q.name) k) h
    where not exists (
        select from workers w
        where w.dead_at is null and h.queue = any(w.queues) and h.kind = any(w.kinds))
$$;
comment on function unknown_kinds is 'Kinds of waiting jobs that no living worker knows.';
-- +goose StatementEnd

-- +goose StatementBegin
-- unpark(queue_name, at_most): puts groups back in line for which there may be room: those of vacancies, in all queues, and those of this queue whose time
-- has come; at_most of each. Where there was no job of a group, one may have been committed since by somebody who did not add a
-- row, having seen this one: it is looked for after 50 ms and after a second, then the row goes. Internal: deal, under its lock.
create function unpark(queue_name text, at_most integer) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    now constant timestamptz := clock_timestamp();
    many record;
    page text[];
    groups text[];
begin
    if exists (select from vacancies) then
        with gone as (
            delete from vacancies v
            where v.ctid = any(array(select x.ctid from vacancies x where right(x.group_name, 1) <> '*' limit at_most))
            returning v.group_name
        )
        select coalesce(array_agg(distinct g.group_name), '{}') into groups from gone g;
        select v.ctid as tid, rtrim(v.group_name, '*') as prefix, v.after into many
        from vacancies v where right(v.group_name, 1) = '*' limit 1;
        if found then
            page := array(
                select distinct b.group_name from backlogs b
                where b.parked_until is not null and b.emptied_at is null and b.group_name >= many.prefix and b.group_name > many.after
                order by b.group_name limit at_most);
            groups := groups || array(select g from unnest(page) g where starts_with(g, many.prefix));
            if cardinality(page) < at_most or not starts_with(page[at_most], many.prefix) then
                delete from vacancies v where v.ctid = many.tid;
            else
                update vacancies v set after = page[at_most] where v.ctid = many.tid;
            end if;
        end if;
        update backlogs b set parked_until = null
        where b.ctid = any(array(
            select x.tid from unnest(groups) g(name)
            cross join lateral (
                select y.ctid as tid from backlogs y
                where y.group_name = g.name and y.parked_until is not null and y.emptied_at is null offset 0) x));
    end if;
    with due as materialized (
        select b.ctid as tid, b.emptied_at,
               b.emptied_at is null or exists (
                   select from waiting w
                   where w.role = 'turn' and w.queue = b.queue and w.group_name = b.group_name and w.kind = b.kind and w.priority = b.priority
                   offset 0) as in_line
        from (select x.ctid, x.* from backlogs x
              where x.queue = queue_name and x.parked_until <= now order by x.parked_until limit at_most) b
    ), gone as (
        delete from backlogs b
        where b.ctid = any(array(select d.tid from due d where not d.in_line and d.emptied_at <= now - interval '1 s'))
    ), kept as (
        update backlogs b set parked_until = b.emptied_at + interval '1 s'
        where b.ctid = any(array(select d.tid from due d where not d.in_line and d.emptied_at > now - interval '1 s'))
    )
    update backlogs b set parked_until = null, emptied_at = null
    where b.ctid = any(array(select d.tid from due d where d.in_line));
end
$$;
comment on function unpark is 'Puts groups back in line for which there may be room.';
-- +goose StatementEnd

-- +goose StatementBegin
-- unsubscribe(subscriber_id): takes a reader of the event stream off the register, if it is one of the caller's database role; owners may all.
-- roles: operator, reader
create function unsubscribe(subscriber_id bigint) returns void
language sql security definer set search_path from current
as $$ delete from subscribers where id = subscriber_id and (role_id = caller() or is_owner(caller())) $$;
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
-- virtual_result(job_id, role, ok, failed): the result of a job that no handler runs and that has just completed: of a
-- DAG that of its output node, encoded as that one is; of a map how many items there were and how many failed. Only output, codec and payload
-- are set. Internal.
create function virtual_result(job_id bigint, role text, ok integer, failed integer) returns results
language plpgsql stable
as $$
#variable_conflict use_column
declare
    result results;
begin
    if role = 'items' then
        result.output := jsonb_build_object('items', ok + failed, 'failed', failed);
    elsif role = 'dag' then
        select f.output, f.codec, f.payload
        into result.output, result.codec, result.payload
        from jobs d
        join jobs j on j.dag_id = coalesce(d.dag_id, d.id)
                   and j.name = case when d.dag_id is null then '' else d.name || '/' end || (d.spec ->> 'output')
        join results f on f.job_id = j.id
        where d.id = virtual_result.job_id;
    end if;
    return result;
end
$$;
comment on function virtual_result is 'The result of a job that no handler runs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- visible(job_ids): those of the jobs that the caller may look at: all, or for mere producers what they enqueued.
-- Internal: SECURITY DEFINER functions. Locks nothing.
create function visible(job_ids bigint[]) returns bigint[]
language plpgsql stable
as $$
declare
    who oid;
begin
    if session_user = current_user and current_setting('role') = 'none' then
        return job_ids;
    end if;
    who := caller();
    if is_owner(who) or exists (
        select from grants g
        where (g.class in ('operator', 'worker') or g.class = 'reader' and g.tenant = '*')
          and pg_has_role(who, g.role_id, 'usage'))
    then
        return job_ids;
    end if;
    return array(select j.id from jobs j where j.id = any(job_ids) and j.enqueued_by = any(own_producers()));
end
$$;
comment on function visible is 'Those of the jobs that the caller may look at.';
-- +goose StatementEnd

-- +goose StatementBegin
-- waiting_groups(at_most): of how many groups jobs wait for their turn, counted up to so many per queue: in one queue each group counts once. Locks nothing.
-- roles: operator, reader
create function waiting_groups(at_most integer default 1000) returns bigint
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
    select count(*)
    from queues_in_turn() q
    cross join lateral (
        select distinct b.group_name from backlogs b
        where b.queue = q and b.group_name > '' and b.emptied_at is null
        order by b.group_name limit at_most) g
$$;
comment on function waiting_groups is 'Of how many groups jobs wait for their turn.';
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
-- wake_on_events(): gives up what sleep_on_events took but for the channel: writers send nothing to this session any more.
-- roles: worker, operator
create function wake_on_events() returns void
language plpgsql security definer set search_path from current
as $$
begin
    perform pg_advisory_unlock_shared(event_gate() + shard) from generate_series(0, 15) shard;
end
$$;
comment on function wake_on_events is 'Gives up the gates of the events.';
-- +goose StatementEnd

-- +goose StatementBegin
-- wake_turns(scope, name): wakes the workers of queues in which jobs may have waited for a limit that has changed, and lets groups that are parked for
-- want of room be looked at. Internal.
create function wake_turns(scope text, name text) returns void
language plpgsql
as $$
#variable_conflict use_variable
declare
    prefix constant text := rtrim(name, '*');
begin
    if scope = 'group' then
        perform add_vacancies(array[name]);
    end if;
    perform wake(array(
        select q from queues_in_turn() q
        where case scope
            when 'queue' then q = name
            when 'kind' then exists (select from kinds_in_line(q) k where k.kind = name)
            when 'group' then starts_with(
                (select b.group_name from backlogs b where b.queue = q and b.group_name >= prefix order by b.group_name limit 1), prefix)
        end
        union
        select name where scope = 'queue'));
end
$$;
comment on function wake_turns is 'Wakes the workers of queues whose jobs a limit concerns.';
-- +goose StatementEnd

-- +goose StatementBegin
-- wake_up(queue_names): gives up the sleepers' gates that fall_asleep took, so that enqueuers need not notify while this session has
-- work anyway. It goes on listening: to the requests to cancel jobs, for example.
-- roles: worker
create function wake_up(queue_names text[]) returns void
language plpgsql security definer set search_path from current
as $$
begin
    perform pg_advisory_unlock_shared(k) from unnest(queue_names) name, unnest(sleep_gate(name)) k;
end
$$;
comment on function wake_up is 'Gives up the sleepers'' gates of this session.';
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
-- more than that the job went its usual way (retried, failed, cancelled ...).
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
-- withdraw(job_ids, unstarted_only): takes jobs out of ready and scheduled, and out of waiting where they wait for their turn; those that were there and their
-- attempts so far. The caller puts them somewhere else in the same transaction. Internal.
-- A job may be missed when somebody splits its run at the same moment: callers look again.
-- The lateral look-ups with "offset 0" keep the planner from walking whole indexes of tables it takes for small.
-- Locks: rows of waiting by job, rows of scheduled by job, then rows of ready by key; waits for others.
create function withdraw(job_ids bigint[], unstarted_only boolean default false)
returns table (job_id bigint, queue text, priority smallint, kind text, attempt integer)
language plpgsql
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    return query
        with locked as materialized (
            select w.job_id from waiting w
            where w.job_id = any(job_ids) and w.role = 'turn' and (w.attempt = 0 or not unstarted_only)
            order by w.job_id
            for update
        )
        delete from waiting w where w.job_id = any(array(select l.job_id from locked l)) and w.role = 'turn'
        returning w.job_id, w.queue, w.priority, w.kind, w.attempt;
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
            select r.queue, r.priority, r.seq from ready_again(job_ids) r where r.attempt = 0 or not unstarted_only
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
-- within(field, given, lowest, highest): what was given, null included. Raises PQ001 with the field unless it is from lowest to highest. Internal: for arguments in
-- places where PostgreSQL's own error would name neither the field nor the rule, at_most of whatever works or looks in portions above all.
create function within(field text, given anyelement, lowest anyelement, highest anyelement) returns anyelement
language plpgsql immutable
as $$
begin
    if given < lowest or given > highest then
        perform invalid(field, format('must be %s to %s', lowest, highest));
    end if;
    return given;
end
$$;
comment on function within is 'Refuses what is out of bounds.';
-- +goose StatementEnd

-- +goose StatementBegin
-- zone_change(zone, after, until): the first instant after one at which a zone shows another distance from UTC than there, given that
-- it does so at the other. Halves the time between them; both are hours apart, or days. Internal.
create function zone_change(zone text, after timestamptz, until timestamptz) returns timestamptz
language plpgsql immutable strict
as $$
declare
    low timestamptz := date_trunc('second', after, 'UTC'); -- clocks change at whole seconds
    high timestamptz := date_trunc('second', until, 'UTC');
    middle timestamptz;
    distance constant interval := (low at time zone zone) - (low at time zone 'UTC');
begin
    while high - low > interval '1 s' loop
        middle := low + make_interval(secs => floor(extract(epoch from high - low) / 2)::float8);
        if (middle at time zone zone) - (middle at time zone 'UTC') = distance then
            low := middle;
        else
            high := middle;
        end if;
    end loop;
    return high;
end
$$;
comment on function zone_change is 'When the clocks of a zone change.';
-- +goose StatementEnd

-- +goose StatementBegin
-- zone_problem(zone): what is wrong with a time zone: it must be a name that PostgreSQL has from IANA's database, no abbreviation and no
-- offset, which know nothing of summer time; null when nothing is. To look through all names takes a quarter of a
-- second, so it is done only where PostgreSQL might take something else for a zone. Internal.
create function zone_problem(zone text) returns text
language plpgsql stable
as $$
begin
    if zone = 'UTC' or exists (select from schedules s where s.zone = zone_problem.zone limit 1) then
        return null;
    elsif zone ~ '^[A-Z][A-Za-z_]+(/[A-Z][A-Za-z_]+)+$' then
        perform now() at time zone zone;
        return null;
    elsif exists (select from pg_timezone_names n where n.name = zone_problem.zone) and zone !~ '^(posix|right)/|^(Factory|localtime|posixrules)$' then
        return null;
    end if;
    return format('must be the name of a time zone, such as Europe/Berlin; %s is none', to_json(coalesce(left(zone, 60), '')));
exception when invalid_parameter_value then
    return format('must be the name of a time zone, such as Europe/Berlin; %s is none', to_json(left(zone, 60)));
end
$$;
comment on function zone_problem is 'What is wrong with a time zone, or null.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batches: one row per batch, with how far it is. A stable contract for SELECT; by id, or the latest ("order by id desc limit 50"), it costs a few index
-- look-ups per row, however many jobs a batch has, and of one that has ended a look at each of its jobs. Locks nothing.
-- state: running until it has ended, held while it is held, else how it ended: completed, failed, cancelled, expired. It ends when its jobs and
-- callbacks have. The counts may be behind by as much as the chores are, a second mostly.
-- roles: operator, reader
create view batches as
select d.id,
       d.kind as name,
       d.spec ->> 'key' as key,
       d.queue,
       case when f.job_id is not null then f.state when w.held then 'held' else 'running' end as state,
       e.job_id is null and f.job_id is null as open,
       n.total,
       n.done,
       n.failed,
       case when n.total > 0 then round(100.0 * n.done / n.total, 1) end as percent,
       d.created_at,
       f.finished_at,
       d.expires_at as deadline,
       d.tags,
       d.metadata,
       f.error,
       f.cause_id
from jobs c -- of jobs_batches, which holds nothing else
join jobs d on d.id = c.dag_id
left join results e on e.job_id = c.id
cross join lateral (select j.id from jobs j where j.dag_id = d.id and j.name = 'jobs' offset 0) s
left join results f on f.job_id = d.id
left join waiting w on w.job_id = d.id
left join waiting t on t.job_id = s.id
cross join lateral (
    select count(*) as total, count(*) filter (where r.state <> 'completed') as failed
    from edges p
    cross join lateral (select state from results where results.job_id = p.parent_id offset 0) r
    where t.job_id is null and p.child_id = s.id and p.parent_id <> c.id) x
cross join lateral (
    select case when t.job_id is null then x.total else t.pending + t.ok + t.failed + t.skipped - 1 end as total,
           case when t.job_id is null then x.total
                else greatest(t.ok + t.failed + t.skipped - (e.job_id is not null)::integer, 0) end as done,
           case when t.job_id is null then x.failed
                else greatest(t.failed - coalesce(e.state <> 'completed', false)::integer, 0) end as failed) n
where c.name = 'jobs/close'
  and c.role = 'external'
  and d.role = 'dag'
  and d.dag_id is null;
comment on view batches is 'One row per batch.';
comment on column batches.id is 'The batch, and the DAG that it is.';
comment on column batches.name is 'Its name.';
comment on column batches.key is 'The key that made its submission idempotent.';
comment on column batches.queue is 'The queue of its jobs that name no other.';
comment on column batches.state is 'running, held, completed, failed, cancelled or expired.';
comment on column batches.open is 'Whether more jobs can be added.';
comment on column batches.total is 'How many jobs it has; a batch in it counts as one.';
comment on column batches.done is 'How many of them have ended.';
comment on column batches.failed is 'How many of these have not completed.';
comment on column batches.percent is 'done of total; null while it is empty.';
comment on column batches.created_at is 'When it was submitted.';
comment on column batches.finished_at is 'When it ended.';
comment on column batches.deadline is 'When it expires unless it has ended.';
comment on column batches.tags is 'Words to find it by.';
comment on column batches.metadata is 'A JSON object that goes with it.';
comment on column batches.error is 'Why it failed.';
comment on column batches.cause_id is 'The job that failed first.';
-- +goose StatementEnd

-- +goose StatementBegin
-- chore_states: one row per chore that is done again and again: when that was last, and whether it is late, which means that
-- no worker does chores. A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view chore_states as
select c.name,
       d.every,
       nullif(c.last_run_at, '-infinity') as last_run_at,
       statement_timestamp() - nullif(c.last_run_at, '-infinity') as age,
       coalesce(c.last_run_at < statement_timestamp() - d.every - interval '30 s', true) as late
from (values ('promote', interval '10 s'), ('rescue', interval '2 s'), ('prune', interval '10 s'), ('sweep', interval '1 hour')) d(name, every)
join chores c on c.name = d.name;
comment on view chore_states is 'One row per chore: when it was last done, and whether it is late.';
comment on column chore_states.name is 'promote (makes scheduled jobs ready), rescue (of dead workers), prune and sweep (delete what was kept long enough).';
comment on column chore_states.every is 'How often it is done while any worker lives.';
comment on column chore_states.last_run_at is 'When it was last done; null: never.';
comment on column chore_states.age is 'How long ago that was.';
comment on column chore_states.late is 'Whether it is late by more than 30 seconds, or was never done.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_edges: one row per edge between jobs, in the DAG of the child. A stable contract for SELECT; ask for one DAG
-- (dag_id). Locks nothing. Edges into the DAG's own job, which waits for its leaves, have no child name; parents that
-- are not of this DAG have no parent name. Edges of hidden gates and of items to their maps are among them.
-- roles: operator, reader
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
comment on column dag_edges.dag_id is 'The DAG.';
comment on column dag_edges.parent_id is 'The job that is waited for.';
comment on column dag_edges.parent is 'Its name; null: it is not of this DAG.';
comment on column dag_edges.child_id is 'The node that waits.';
comment on column dag_edges.child is 'Its name.';
comment on column dag_edges.soft is 'Whether a parent that failed counts as if it had succeeded.';
comment on column dag_edges.condition is 'What the result of the parent must fulfil.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dags: one row per DAG. A stable contract for SELECT; by id, or the latest ("order by id desc limit 50"), of a
-- name too, it costs a few index look-ups per row. Locks nothing.
-- state: running until it has ended, held while it is held (dag_hold), else how it ended: completed, failed, cancelled,
-- expired, skipped. A DAG has no worker, so whether anything of it runs at the moment is said by dag_progress.
-- error and cause_id say why it has failed: cause_id is the job that failed first.
-- roles: operator, reader
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
comment on column dags.id is 'The DAG.';
comment on column dags.name is 'Its name.';
comment on column dags.key is 'The key that made its submission idempotent.';
comment on column dags.queue is 'The queue of its nodes that name no other.';
comment on column dags.priority is 'The priority of its nodes that have no other.';
comment on column dags.state is 'running, held, completed, failed, cancelled, expired or skipped.';
comment on column dags.held is 'Whether an operator holds it.';
comment on column dags.created_at is 'When it was submitted.';
comment on column dags.finished_at is 'When it ended.';
comment on column dags.deadline is 'When it expires unless it has ended.';
comment on column dags.on_failure is 'What a failure does: continue or cancel the rest.';
comment on column dags.output is 'The node whose result is that of the DAG.';
comment on column dags.forked_from is 'The DAG of which it is a fork.';
comment on column dags.tags is 'Words to find it by.';
comment on column dags.metadata is 'A JSON object that goes with it.';
comment on column dags.error is 'Why it failed.';
comment on column dags.cause_id is 'The job that failed first.';
-- +goose StatementEnd

-- +goose StatementBegin
-- failures: the dead letters, together by what error_fingerprint says of their errors, kind and queue; most jobs first. Looks
-- at the newest 1,000; where there are more, exact is false. list_failures looks at more, and at some only.
-- roles: operator, reader
create view failures as
select fingerprint, kind, queue, jobs, first_at, last_at, last_job_id, error, exact
from list_failures(at_most => 1000, look_at => 1000);
comment on view failures is 'The newest failures, together by fingerprint, kind and queue.';
comment on column failures.fingerprint is 'What errors of one sort have in common; see error_fingerprint.';
comment on column failures.kind is 'Kind of the jobs.';
comment on column failures.queue is 'Queue of the jobs.';
comment on column failures.jobs is 'How many failed jobs have such an error.';
comment on column failures.first_at is 'When the first of them failed.';
comment on column failures.last_at is 'When the last of them failed.';
comment on column failures.last_job_id is 'The last of them.';
comment on column failures.error is 'Its error.';
comment on column failures.exact is 'False: there are more failed jobs than were looked at.';
-- +goose StatementEnd

-- +goose StatementBegin
-- granted_roles: which database role may do what: a row per role and class, with the queues of a producer and the tenants of a
-- reader (null: all). Members of a role have what it has. Owners of the schema are listed as class owner, superusers not at all.
-- A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view granted_roles as
select r.rolname::text as role,
       g.class,
       case when bool_or(g.queue = '*') then null else array_agg(distinct g.queue order by g.queue) end as queues,
       case when bool_or(g.tenant = '*') then null else array_agg(distinct g.tenant order by g.tenant) end as tenants,
       bool_or(g.payloads) as payloads,
       min(g.granted_by) as granted_by,
       min(g.granted_at) as granted_at
from grants g
join pg_roles r on r.oid = g.role_id
group by r.rolname, g.class
union all
select r.rolname::text, 'owner', null, null, true, null, null
from pg_class c
join pg_roles r on r.oid = c.relowner or r.oid in (select m.member from pg_auth_members m where m.roleid = c.relowner)
where c.oid = 'grants'::regclass;
comment on view granted_roles is 'Which database role may do what.';
comment on column granted_roles.role is 'The database role.';
comment on column granted_roles.class is 'What it may do: producer, worker, operator or reader.';
comment on column granted_roles.queues is 'In which queues.';
comment on column granted_roles.tenants is 'Of which tenants.';
comment on column granted_roles.payloads is 'Whether it sees what jobs are about.';
comment on column granted_roles.granted_by is 'Who granted it.';
comment on column granted_roles.granted_at is 'When.';
-- +goose StatementEnd

-- +goose StatementBegin
-- health: one row of figures that tell whether the database and the workers keep up; 0, null or false is well for all but
-- workers_alive and chores_age. A stable contract for SELECT. Bounded in cost, locks nothing. Without the rights of
-- pg_read_all_stats PostgreSQL hides other roles' transactions: oldest_transaction_age counts one's own then.
-- roles: operator, reader
create view health as
select a.oldest_transaction_age,
       greatest(a.xmin_age, x.prepared_age, x.slot_age) as oldest_xmin_age,
       pg_notification_queue_usage() as notify_queue_use,
       w.alive as workers_alive,
       w.silent as workers_silent,
       w.dead as workers_dead,
       (select count(*)
        from running r
        left join workers o on o.id = r.worker_id and o.dead_at is null and o.heartbeat_at > statement_timestamp() - o.lease
        where o.id is null) as expired_leases,
       c.age as chores_age,
       coalesce(c.age > interval '30 seconds', true) as chores_stuck,
       (select statement_timestamp() - s.run_at
        from scheduled s where s.run_at <= statement_timestamp() order by s.run_at limit 1) as promotion_lag,
       (select statement_timestamp() - e.expires_at
        from expiries e where e.expires_at <= statement_timestamp() order by e.expires_at, e.job_id limit 1) as expiry_lag,
       (select count(*) from (select from frontier limit 10000) f) as frontier_backlog,
       (select count(*) from queues q where q.paused_at is not null) as paused_queues
from (
    select max(statement_timestamp() - xact_start) as oldest_transaction_age, max(age(backend_xmin)) as xmin_age
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()) a
cross join (
    select (select max(age(transaction)) from pg_prepared_xacts) as prepared_age,
           (select max(greatest(age(xmin), age(catalog_xmin))) from pg_replication_slots) as slot_age) x
cross join (
    select count(*) filter (where dead_at is null and heartbeat_at > statement_timestamp() - lease) as alive,
           count(*) filter (where dead_at is null and heartbeat_at <= statement_timestamp() - lease) as silent,
           count(*) filter (where dead_at is not null) as dead
    from workers) w
cross join (
    select statement_timestamp() - nullif(max(last_run_at), '-infinity') as age from chores where name in ('rescue', 'round')) c;
comment on view health is 'One row: whether the database and the workers keep up.';
comment on column health.oldest_transaction_age is 'How long the oldest other transaction in this database has been open: it keeps dead rows from being removed.';
comment on column health.oldest_xmin_age is 'How many transactions ago the oldest snapshot was taken that keeps dead rows: of a session, a prepared transaction or a replication slot.';
comment on column health.notify_queue_use is 'Share of PostgreSQL''s NOTIFY queue that is in use; at 1 commits that notify fail.';
comment on column health.workers_alive is 'Workers that were heard of within their lease.';
comment on column health.workers_silent is 'Workers that are about to be declared dead.';
comment on column health.workers_dead is 'Workers that were declared dead and have not retired.';
comment on column health.expired_leases is 'Running jobs whose worker is not alive: they are given back within seconds if any worker lives.';
comment on column health.chores_age is 'How long ago any worker last did the chores; null: never.';
comment on column health.chores_stuck is 'Whether that was more than 30 seconds ago or never: nothing delayed starts, nobody is rescued.';
comment on column health.promotion_lag is 'For how long the longest overdue scheduled job has been due; null: none is.';
comment on column health.expiry_lag is 'For how long the longest overdue expiry has been due; null: none is.';
comment on column health.frontier_backlog is 'Ranges of children that have yet to hear of a parent''s end, counted up to 10,000.';
comment on column health.paused_queues is 'Queues that are paused.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_states: one row per job with its state: waiting, scheduled, ready, running, or how it ended (completed, failed,
-- cancelled, skipped, expired). A stable contract for SELECT; by id it costs a handful of index look-ups.
-- attempt counts the attempts so far, the running one included. Locks nothing.
-- roles: operator, reader
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
       j.name,
       j.group_name
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
comment on column job_states.id is 'The job.';
comment on column job_states.queue is 'Where it waits or waited.';
comment on column job_states.kind is 'Which handler is to do it; of a DAG its name.';
comment on column job_states.priority is '0 (soonest) to 9.';
comment on column job_states.state is 'waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired.';
comment on column job_states.attempt is 'Attempts so far, the running one included.';
comment on column job_states.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column job_states.created_at is 'When it was enqueued.';
comment on column job_states.run_at is 'When a scheduled job becomes ready.';
comment on column job_states.claimed_at is 'When a worker claimed it last.';
comment on column job_states.finished_at is 'When it ended.';
comment on column job_states.worker_id is 'The worker that has it or had it last.';
comment on column job_states.cancel_requested_at is 'When somebody asked to cancel it while it runs.';
comment on column job_states.expires_at is 'When it expires unless it was started; the deadline of a DAG.';
comment on column job_states.timeout is 'For how long an attempt may run; null: as its queue says.';
comment on column job_states.tags is 'Words to find it by.';
comment on column job_states.metadata is 'A JSON object that goes with it.';
comment on column job_states.error is 'Why it did not complete.';
comment on column job_states.dag_id is 'The DAG of which it is a node.';
comment on column job_states.name is 'Its name in that DAG; a path for nodes of sub-DAGs.';
comment on column job_states.group_name is 'The group with which it shares limits and takes turns.';
-- +goose StatementEnd

-- +goose StatementBegin
-- kind_settings: the settings of kinds of jobs (set_kind); null means "as its queue says". A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view kind_settings as
select k.name, k.backoff, k.updated_at
from kinds k;
comment on view kind_settings is 'The settings of kinds of jobs.';
comment on column kind_settings.name is 'The kind.';
comment on column kind_settings.backoff is 'How long failed attempts wait (see backoff_problem); null: as the queue says.';
comment on column kind_settings.updated_at is 'When the settings were last set.';
-- +goose StatementEnd

-- +goose StatementBegin
-- limit_settings: the limits that were set (set_limit). A name of groups that ends in "*" stands for many. A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view limit_settings as
select l.scope, l.name, l.max_running, l.rate, l.period, l.burst, l.weight, l.updated_at, l.break_after, l.break_within, l.break_for
from limits l;
comment on view limit_settings is 'The limits that were set.';
comment on column limit_settings.scope is 'What is limited: queue, kind or group.';
comment on column limit_settings.name is 'Which one; a name of groups may end in *, and each of them has the limit for itself.';
comment on column limit_settings.max_running is 'How many of its jobs may run at a time.';
comment on column limit_settings.rate is 'How many may start per period.';
comment on column limit_settings.period is 'In what time.';
comment on column limit_settings.burst is 'How many at once after a rest; null: as many as rate says.';
comment on column limit_settings.weight is 'How many turns a group gets where others get one.';
comment on column limit_settings.updated_at is 'When it was changed last.';
comment on column limit_settings.break_after is 'How many attempts have to fail for its circuit breaker to open.';
comment on column limit_settings.break_within is 'In what time.';
comment on column limit_settings.break_for is 'For how long none starts then, until a probe.';
-- +goose StatementEnd

-- +goose StatementBegin
-- queue_states: one row per queue that is registered or holds jobs: how much of it waits for what, how old the oldest is, and
-- whether it is paused. A stable contract for SELECT. Large numbers are estimates (exact is false), so that it takes
-- milliseconds at any size; see queue_figures. Locks nothing.
-- roles: operator, reader
create view queue_states as
select * from queue_figures();
comment on view queue_states is 'One row per queue: depth, ages, whether it is paused.';
comment on column queue_states.queue is 'Name of the queue.';
comment on column queue_states.depth is 'Jobs that wait to be started: ready and scheduled. What max_depth limits.';
comment on column queue_states.ready is 'Jobs that may be claimed now.';
comment on column queue_states.scheduled is 'Jobs that wait for a time.';
comment on column queue_states.waiting is 'Jobs that wait for other jobs; an estimate when very many do.';
comment on column queue_states.running is 'Jobs that a worker holds.';
comment on column queue_states.exact is 'False: at least one of the counts is an estimate from a sample.';
comment on column queue_states.oldest_ready_at is 'Since when the oldest ready job has waited to be claimed.';
comment on column queue_states.oldest_ready_age is 'How long the oldest ready job has waited to be claimed; null when none is ready.';
comment on column queue_states.next_run_at is 'The earliest time for which a job is scheduled; in the past: the chores are late.';
comment on column queue_states.paused is 'Whether jobs of the queue are kept from being claimed.';
comment on column queue_states.paused_at is 'Since when it is paused.';
comment on column queue_states.pause_reason is 'Why it is paused.';
comment on column queue_states.max_depth is 'The depth past which enqueue is refused; null: no limit.';
comment on column queue_states.workers is 'Live workers that serve the queue.';
comment on column queue_states.age_every is 'A job counts as one priority sooner for each such time that it has waited; null: only its priority counts.';
comment on column queue_states.paused_by is 'Who paused it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- registered_queues: queues that have settings of their own, were paused, or had a worker, and whether they are paused. The row
-- '*' is that of the defaults. A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view registered_queues as
select q.name, q.paused_at, q.pause_reason, q.created_at, q.updated_at, q.paused_by from queues q;
comment on view registered_queues is 'Queues that are registered.';
comment on column registered_queues.name is 'Name of the queue; ''*'': the defaults of all.';
comment on column registered_queues.paused_at is 'Since when it is paused; null: it is not.';
comment on column registered_queues.pause_reason is 'Why it is paused.';
comment on column registered_queues.created_at is 'When it was registered.';
comment on column registered_queues.updated_at is 'When it was last set, paused or resumed.';
comment on column registered_queues.paused_by is 'Who paused it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- running_jobs: one row per job that a worker holds, with the worker and for how long. A stable contract for SELECT; its
-- cost is that of the jobs that run, not of those that there are. Locks nothing.
-- roles: operator, reader
create view running_jobs as
select r.job_id,
       r.queue,
       j.kind,
       j.priority,
       r.attempt,
       j.max_attempts,
       r.worker_id,
       w.name as worker,
       coalesce(w.dead_at is null and w.heartbeat_at > statement_timestamp() - w.lease, false) as worker_alive,
       r.claimed_at,
       statement_timestamp() - r.claimed_at as duration,
       j.timeout,
       r.cancel_requested_at,
       p.done as progress_done,
       p.total as progress_total,
       j.dag_id,
       j.name,
       j.tags
from running r
-- "offset 0": the planner would walk all jobs where it takes those that run for many.
cross join lateral (select * from jobs where id = r.job_id offset 0) j
left join lateral (select * from progress g where g.job_id = r.job_id and g.attempt = r.attempt offset 0) p on true
left join workers w on w.id = r.worker_id;
comment on view running_jobs is 'One row per job that a worker holds.';
comment on column running_jobs.job_id is 'The job.';
comment on column running_jobs.queue is 'Its queue.';
comment on column running_jobs.kind is 'Its kind: which handler runs.';
comment on column running_jobs.priority is 'Its priority, 0 (soonest) to 9.';
comment on column running_jobs.attempt is 'Which attempt this is, from 1.';
comment on column running_jobs.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column running_jobs.worker_id is 'The worker that holds it.';
comment on column running_jobs.worker is 'Name of the worker.';
comment on column running_jobs.worker_alive is 'False: the worker has not been heard of for its lease, and the attempt is about to end.';
comment on column running_jobs.claimed_at is 'When the worker claimed it.';
comment on column running_jobs.duration is 'For how long the worker has held it.';
comment on column running_jobs.timeout is 'After which time the handler is stopped; null: that of its queue, or none.';
comment on column running_jobs.cancel_requested_at is 'When somebody asked to cancel it.';
comment on column running_jobs.progress_done is 'How far it is, as its handler reported.';
comment on column running_jobs.progress_total is 'Of how much.';
comment on column running_jobs.dag_id is 'The DAG of which it is a node.';
comment on column running_jobs.name is 'Its name in that DAG.';
comment on column running_jobs.tags is 'Its tags.';
-- +goose StatementEnd

-- +goose StatementBegin
-- throughput: how many jobs ended in each minute of the last hour, per queue, newest first; the minute under way is
-- incomplete, and those in which none ended are left out. A stable contract for SELECT. In large installations partly an
-- estimate (exact is false), so that it takes milliseconds at any size; see ended_per_minute. Locks nothing.
-- roles: operator, reader
create view throughput as
select * from ended_per_minute();
comment on view throughput is 'Jobs that ended in each minute of the last hour, per queue.';
comment on column throughput.minute is 'Beginning of the minute.';
comment on column throughput.queue is 'Name of the queue.';
comment on column throughput.completed is 'Jobs that completed in it.';
comment on column throughput.failed is 'Jobs that failed in it: without attempts left, or for good.';
comment on column throughput.cancelled is 'Jobs that were cancelled in it.';
comment on column throughput.skipped is 'Nodes of DAGs that were skipped in it.';
comment on column throughput.expired is 'Jobs that expired in it.';
comment on column throughput.exact is 'False: the figures are partly estimates, or jobs that ended out of order may be missing.';
-- +goose StatementEnd

-- +goose StatementBegin
-- verbs: the functions that are for use from outside, one row each: what \df shows without what is internal. A stable contract for SELECT. Locks nothing.
--
--   select name, arguments, meaning from pgq.verbs where 'operator' = any(classes);
--
-- roles: producer, worker, operator, reader
create view verbs as
select p.proname::text as name,
       pg_get_function_arguments(p.oid) as arguments,
       pg_get_function_result(p.oid) as result,
       coalesce((select array_agg(r.class::text order by r.class) from rights r where r.object = p.proname), '{owner}') as classes,
       obj_description(p.oid, 'pg_proc') as meaning
from pg_proc p
where p.pronamespace = (select c.relnamespace from pg_class c where c.oid = 'jobs'::regclass)
  and p.prosecdef
  and p.proname <> all('{enqueue_one,enqueue_reserve,set_schedule_json,import_finish,import_reserve}'::text[]) -- of the Go client
  or p.oid = 'enqueue_trigger'::regproc;
comment on view verbs is 'The functions that are for use from outside.';
comment on column verbs.name is 'Its name; no two are named alike.';
comment on column verbs.arguments is 'Its arguments with their types and defaults; all can be given by name.';
comment on column verbs.result is 'What it returns.';
comment on column verbs.classes is 'Which classes of roles may call it (grant_role); owners may call all.';
comment on column verbs.meaning is 'What it does; pgq/sql has more.';
-- +goose StatementEnd

-- +goose StatementBegin
-- consumer_states: one row per consumer of events: where it is, how far behind, and whether all is well. behind is counted among the first
-- 10,000 events that it might not have read; exact is false when there are more. A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view consumer_states as
select c.name,
       case when c.failures > 0 then 'failing' when c.leased_until > statement_timestamp() then 'reading'
            when b.behind > 0 then 'behind' else 'idle' end as state,
       c.queues,
       c.types,
       b.behind,
       b.exact,
       statement_timestamp() - b.oldest_at as lag,
       b.position_id,
       c.handled,
       c.skipped,
       c.failures,
       c.error,
       c.retry_at,
       c.leased_by,
       c.leased_until,
       c.keep,
       c.read_at,
       c.lost_at,
       c.created_at,
       c.updated_at
from consumers c
cross join lateral consumer_lag(c.name) b;
comment on view consumer_states is 'One row per consumer of events: where it is and how far behind.';
comment on column consumer_states.name is 'The consumer.';
comment on column consumer_states.state is 'idle (has read all), behind, reading (a batch is leased), failing (a handler fails; it tries again).';
comment on column consumer_states.queues is 'Events of which queues it wants; null: of all.';
comment on column consumer_states.types is 'Which types it wants; null: all.';
comment on column consumer_states.behind is 'How many events it has yet to read, counted among 10,000.';
comment on column consumer_states.exact is 'Whether there are no more than those.';
comment on column consumer_states.lag is 'How old the oldest of them is.';
comment on column consumer_states.position_id is 'It is at this id; events of transactions that committed late may lie below it.';
comment on column consumer_states.handled is 'How many events it has taken.';
comment on column consumer_states.skipped is 'How many it gave up after failures.';
comment on column consumer_states.failures is 'How often the next event has failed in a row.';
comment on column consumer_states.error is 'Why it failed last.';
comment on column consumer_states.retry_at is 'When it is tried again.';
comment on column consumer_states.leased_by is 'Who has the batch.';
comment on column consumer_states.leased_until is 'Until when.';
comment on column consumer_states.keep is 'For how long unread events are kept for it.';
comment on column consumer_states.read_at is 'When a batch was last taken; null: never.';
comment on column consumer_states.lost_at is 'When unread events were last deleted since they were older than keep; null: never.';
comment on column consumer_states.created_at is 'When it was created.';
comment on column consumer_states.updated_at is 'When it was last set or put back.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_blockers: what waiting nodes wait for: one row per node and parent that is not finished. A stable contract for
-- SELECT; ask for one DAG (dag_id) or node. Locks nothing. Nothing for a node: it does not wait for parents; see
-- dag_explain. Parents may be hidden gates ("etl/(start)"), which have rows of their own; one that is not of this DAG has
-- no name. since is when the parent was claimed, or else when it was added.
-- roles: operator, reader
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
comment on column dag_blockers.dag_id is 'The DAG.';
comment on column dag_blockers.node is 'Name of the node that waits.';
comment on column dag_blockers.job_id is 'The node that waits.';
comment on column dag_blockers.parent_id is 'A parent that has not ended.';
comment on column dag_blockers.parent is 'Name of the parent; null: it is not of this DAG.';
comment on column dag_blockers.parent_state is 'State of the parent.';
comment on column dag_blockers.since is 'When the parent was claimed, or else when it was added.';
-- +goose StatementEnd

-- +goose StatementBegin
-- dag_nodes: one row per node of a DAG, nodes of sub-DAGs, items of maps and hidden gates (role gate) included. A stable
-- contract for SELECT; ask for one DAG (dag_id) or one node (dag_id and name, or job_id). Locks nothing.
-- scope is the sub-DAG that a node is in ("etl" for "etl/extract"), null at the top. pending, ok, failed and skipped
-- count the parents of a node that waits, null afterwards; for a map under way they count its items.
-- duration is that of the last attempt. cause is the name of the job whose failure ended this one.
-- roles: operator, reader
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
comment on column dag_nodes.dag_id is 'The DAG of which it is a node.';
comment on column dag_nodes.job_id is 'The node.';
comment on column dag_nodes.name is 'Its name in that DAG; a path for nodes of sub-DAGs.';
comment on column dag_nodes.scope is 'The sub-DAG that it is in; null at the top.';
comment on column dag_nodes.role is 'Null: a handler runs it; else dag, gate, external, sleep or map.';
comment on column dag_nodes.kind is 'Which handler is to do it; of a DAG its name.';
comment on column dag_nodes.queue is 'Where it waits or waited.';
comment on column dag_nodes.state is 'waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired.';
comment on column dag_nodes.attempt is 'Attempts so far, the running one included.';
comment on column dag_nodes.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column dag_nodes.created_at is 'When it was enqueued.';
comment on column dag_nodes.run_at is 'When a scheduled job becomes ready.';
comment on column dag_nodes.claimed_at is 'When a worker claimed it last.';
comment on column dag_nodes.finished_at is 'When it ended.';
comment on column dag_nodes.worker_id is 'The worker that has it or had it last.';
comment on column dag_nodes.duration is 'How long its last attempt took.';
comment on column dag_nodes.rule is 'Which ends of its parents let it run.';
comment on column dag_nodes.pending is 'Parents that have not ended, while it waits; items of a map under way.';
comment on column dag_nodes.ok is 'Parents that succeeded, while it waits.';
comment on column dag_nodes.failed is 'Parents that failed, while it waits.';
comment on column dag_nodes.skipped is 'Parents that were skipped, while it waits.';
comment on column dag_nodes.held is 'Whether an operator holds it.';
comment on column dag_nodes.error is 'Why it did not complete.';
comment on column dag_nodes.cause_id is 'The job whose failure made this one be skipped or fail.';
comment on column dag_nodes.cause is 'Name of that job.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job_details: what job_states says, with what was asked (args or payload), what came of it (output or
-- output_payload) and how far it is (progress). Wide: meant for looking at jobs by id.
-- args, payload and output are null for readers who were not granted payloads, but for jobs that they enqueued.
-- roles: operator, reader
create view job_details as
select s.id, s.queue, s.kind, s.priority, s.state, s.attempt, s.max_attempts, s.created_at, s.run_at, s.claimed_at, s.finished_at,
       s.worker_id, s.cancel_requested_at, s.expires_at, s.timeout, s.tags, s.metadata, s.error, s.dag_id, s.name,
       case when v.all_jobs or v.own then j.args end as args,
       j.codec,
       case when v.all_jobs or v.own then j.payload end as payload,
       j.backoff, j.result_ttl,
       case when v.all_jobs or v.own then f.output end as output,
       f.codec as output_codec,
       case when v.all_jobs or v.own then f.payload end as output_payload,
       p.done as progress_done, p.total as progress_total,
       j.sequence, j.on_failure,
       s.group_name
from job_states s
join jobs j on j.id = s.id
left join results f on f.job_id = s.id
left join progress p on p.job_id = s.id
cross join lateral (select (select sees_payloads()) as all_jobs, j.enqueued_by = any((select own_producers())::integer[]) as own) v;
comment on view job_details is 'job_states with args, output and progress.';
comment on column job_details.id is 'The job.';
comment on column job_details.queue is 'Where it waits or waited.';
comment on column job_details.kind is 'Which handler is to do it; of a DAG its name.';
comment on column job_details.priority is '0 (soonest) to 9.';
comment on column job_details.state is 'waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired.';
comment on column job_details.attempt is 'Attempts so far, the running one included.';
comment on column job_details.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column job_details.created_at is 'When it was enqueued.';
comment on column job_details.run_at is 'When a scheduled job becomes ready.';
comment on column job_details.claimed_at is 'When a worker claimed it last.';
comment on column job_details.finished_at is 'When it ended.';
comment on column job_details.worker_id is 'The worker that has it or had it last.';
comment on column job_details.cancel_requested_at is 'When somebody asked to cancel it while it runs.';
comment on column job_details.expires_at is 'When it expires unless it was started; the deadline of a DAG.';
comment on column job_details.timeout is 'For how long an attempt may run; null: as its queue says.';
comment on column job_details.tags is 'Words to find it by.';
comment on column job_details.metadata is 'A JSON object that goes with it.';
comment on column job_details.error is 'Why it did not complete.';
comment on column job_details.dag_id is 'The DAG of which it is a node.';
comment on column job_details.name is 'Its name in that DAG; a path for nodes of sub-DAGs.';
comment on column job_details.args is 'Its input.';
comment on column job_details.codec is 'Which codec wrote payload; null: args are JSON.';
comment on column job_details.payload is 'Its input in place of args, as a codec wrote it.';
comment on column job_details.backoff is 'Pauses between attempts; null: as its kind or queue says.';
comment on column job_details.result_ttl is 'For how long its result is kept; null: as its queue says.';
comment on column job_details.output is 'The result''s value.';
comment on column job_details.output_codec is 'Which codec wrote output_payload; null: output is JSON.';
comment on column job_details.output_payload is 'The result''s value in place of output, as a codec wrote it.';
comment on column job_details.progress_done is 'How far it is, as its handler reported.';
comment on column job_details.progress_total is 'Of how much.';
comment on column job_details.sequence is 'The sequence in which it runs, one after the other.';
comment on column job_details.on_failure is 'What becomes of its sequence if it fails for good: stop (also when null), skip or continue.';
comment on column job_details.group_name is 'The group with which it shares limits and takes turns.';
-- +goose StatementEnd

-- +goose StatementBegin
-- limit_states: queues, kinds and groups that have a limit, a pause, or jobs that wait for their turn or did a moment ago, with how much of it is in use. limit_name:
-- the limit that holds for it, null: none does. waiting counts up to 10,000 jobs, fewer (100 at least) where groups are many; exact is false when there are more.
-- Those of a queue that are ready are not among them.
-- A stable contract for SELECT: each row costs some look-ups; ask by scope and name. list_limits gives all in pages. Locks nothing.
-- roles: operator, reader
create view limit_states as
with recursive queues as (
    -- those in which jobs wait for their turn, from one to the next along an index
    (select b.queue from backlogs b order by b.queue limit 1)
    union all
    select n.*
    from queues q
    cross join lateral (select b.queue from backlogs b where b.queue > q.queue order by b.queue limit 1) n
), counted as materialized (
    select greatest(100, least(10000, 500000 / greatest(1, count(*))))::integer as most from (select from backlogs limit 5000) b
)
select n.scope, n.name, s.limit_name, s.max_running, s.running, s.rate, s.period, s.burst, s.tokens, s.weight, s.waiting, s.paused_until, s.pause_reason,
       s.break_after, s.break_within, s.break_for, s.breaker, s.failures, s.probe_at, s.probe_id, s.state, s.exact, s.paused_by
from (
    select l.scope, l.name from limits l where l.scope <> 'group' or right(l.name, 1) <> '*'
    union
    select g.scope, g.name from gates g
    where g.paused_until > statement_timestamp() or g.scope = 'group' and exists (
        select from limits l where l.scope = 'group' and (l.name = g.name or right(l.name, 1) = '*' and starts_with(g.name, rtrim(l.name, '*'))))
    union
    select 'group', b.group_name from queues q join backlogs b on b.queue = q.queue where b.group_name <> ''
    union
    select 'group', s.group_name from slots s where s.group_name <> ''
    order by scope, name) n
cross join lateral limit_state(n.scope, n.name, (select most from counted)) s;
comment on view limit_states is 'What limits there are and how much of them is in use.';
comment on column limit_states.scope is 'What is limited: queue, kind or group.';
comment on column limit_states.name is 'Which one.';
comment on column limit_states.limit_name is 'The limit that holds for it; null: none does.';
comment on column limit_states.max_running is 'How many of its jobs may run at a time.';
comment on column limit_states.running is 'How many run, where that is limited; of a queue always.';
comment on column limit_states.rate is 'How many may start per period.';
comment on column limit_states.period is 'In what time.';
comment on column limit_states.burst is 'How many at once after a rest; null: as many as rate says.';
comment on column limit_states.tokens is 'How many may start now.';
comment on column limit_states.weight is 'How many turns the group gets where others get one.';
comment on column limit_states.waiting is 'How many jobs wait for their turn, counted up to 10,000, or fewer where groups are many.';
comment on column limit_states.paused_until is 'Until when none starts.';
comment on column limit_states.pause_reason is 'Why.';
comment on column limit_states.break_after is 'How many attempts have to fail for its circuit breaker to open.';
comment on column limit_states.break_within is 'In what time.';
comment on column limit_states.break_for is 'For how long none starts then, until a probe.';
comment on column limit_states.breaker is 'How its circuit breaker stands: closed, open or half_open; null: it has none.';
comment on column limit_states.failures is 'How many attempts failed in the time that the circuit breaker looks at.';
comment on column limit_states.probe_at is 'From when a probe may run, if it is not closed.';
comment on column limit_states.probe_id is 'The job that is the probe.';
comment on column limit_states.state is 'free, or why no other job may start now: paused, broken (its circuit breaker is not closed), full.';
comment on column limit_states.exact is 'Whether no more jobs wait.';
comment on column limit_states.paused_by is 'Who paused it.';
-- +goose StatementEnd

-- +goose StatementBegin
-- own_jobs: the jobs that the caller enqueued, with what was asked and what came of it. For producers, who see no others; by id or
-- newest first ("order by id desc limit 50") it costs a few index look-ups per row: a barrier lets conditions on columns of jobs through, and
-- the view has that order itself, without which PostgreSQL would sort all rows for it. Jobs that owners of the schema enqueued
-- are nobody's. A stable contract for SELECT. Locks nothing.
-- roles: producer, operator
create view own_jobs with (security_barrier) as
select j.id, j.queue, j.kind, j.priority, s.state, s.attempt, j.max_attempts, j.created_at, s.run_at, s.claimed_at, f.finished_at,
       j.expires_at, j.timeout, j.tags, j.metadata, f.error, j.dag_id, j.name,
       j.args, j.codec, j.payload, f.output, f.codec as output_codec, f.payload as output_payload,
       j.group_name
from jobs j
cross join lateral (select state, attempt, run_at, claimed_at from job_states where id = j.id offset 0) s
left join lateral (select error, finished_at, output, codec, payload from results where job_id = j.id offset 0) f on true
where j.enqueued_by = any((select own_producers())::integer[])
order by j.id desc;
comment on view own_jobs is 'The jobs that the caller enqueued.';
comment on column own_jobs.id is 'The job.';
comment on column own_jobs.queue is 'Where it waits or waited.';
comment on column own_jobs.kind is 'Which handler is to do it; of a DAG its name.';
comment on column own_jobs.priority is '0 (soonest) to 9.';
comment on column own_jobs.state is 'waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired.';
comment on column own_jobs.attempt is 'Attempts so far, the running one included.';
comment on column own_jobs.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column own_jobs.created_at is 'When it was enqueued.';
comment on column own_jobs.run_at is 'When a scheduled job becomes ready.';
comment on column own_jobs.claimed_at is 'When a worker claimed it last.';
comment on column own_jobs.finished_at is 'When it ended.';
comment on column own_jobs.expires_at is 'When it expires unless it was started; the deadline of a DAG.';
comment on column own_jobs.timeout is 'For how long an attempt may run; null: as its queue says.';
comment on column own_jobs.tags is 'Words to find it by.';
comment on column own_jobs.metadata is 'A JSON object that goes with it.';
comment on column own_jobs.error is 'Why it did not complete.';
comment on column own_jobs.dag_id is 'The DAG of which it is a node.';
comment on column own_jobs.name is 'Its name in that DAG; a path for nodes of sub-DAGs.';
comment on column own_jobs.args is 'Its input.';
comment on column own_jobs.codec is 'Which codec wrote payload; null: args are JSON.';
comment on column own_jobs.payload is 'Its input in place of args, as a codec wrote it.';
comment on column own_jobs.output is 'The result''s value.';
comment on column own_jobs.output_codec is 'Which codec wrote output_payload; null: output is JSON.';
comment on column own_jobs.output_payload is 'The result''s value in place of output, as a codec wrote it.';
comment on column own_jobs.group_name is 'The group with which it shares limits and takes turns.';
-- +goose StatementEnd

-- +goose StatementBegin
-- schedule_states: one row per schedule. A stable contract for SELECT. Locks nothing.
-- state: active, paused, or ended (it is not due any more); kind: of its jobs, or the name of its DAGs. last_state is that of
-- the job that it enqueued last, null when that has been deleted.
-- job and dag are null for readers who were not granted payloads.
-- roles: operator, reader
create view schedule_states as
select s.name,
       case when s.paused_at is not null then 'paused' when s.next_at is null and s.queued_at is null then 'ended' else 'active' end as state,
       s.spec,
       s.zone,
       coalesce(s.job ->> 'kind', s.dag ->> 'name') as kind,
       s.dag is not null as is_dag,
       s.next_at,
       s.fire_at,
       s.queued_at,
       s.last_due_at,
       s.last_fired_at,
       s.last_job_id,
       j.state as last_state,
       s.runs,
       s.error,
       s.jitter,
       s.starts_at,
       s.ends_at,
       s.max_runs,
       s.missed,
       s.missed_limit,
       s.overlap,
       s.declared_by,
       s.paused_at,
       s.paused_by,
       s.pause_reason,
       s.created_at,
       s.updated_at,
       case when (select sees_payloads()) then s.job end as job,
       case when (select sees_payloads()) then s.dag end as dag
from schedules s
left join lateral (select state from job_states where id = s.last_job_id offset 0) j on true;
comment on view schedule_states is 'One row per schedule.';
comment on column schedule_states.name is 'Name of the schedule.';
comment on column schedule_states.state is 'active, paused, or ended: it is not due any more.';
comment on column schedule_states.spec is 'When it is due: a cron expression, "every ..." or "at ...".';
comment on column schedule_states.zone is 'The time zone whose clocks count.';
comment on column schedule_states.kind is 'Kind of its jobs, or name of its DAGs.';
comment on column schedule_states.is_dag is 'Whether it submits DAGs.';
comment on column schedule_states.next_at is 'When it is due next; null: never again.';
comment on column schedule_states.fire_at is 'When the chores look at it next: later than it is due by its jitter; null: it is paused or has ended.';
comment on column schedule_states.queued_at is 'The time that waits for an earlier run to end.';
comment on column schedule_states.last_due_at is 'The last time that fired.';
comment on column schedule_states.last_fired_at is 'When it last enqueued something, by hand included.';
comment on column schedule_states.last_job_id is 'What it last enqueued.';
comment on column schedule_states.last_state is 'State of that job; null when it is not kept any more.';
comment on column schedule_states.runs is 'How many of its times have fired.';
comment on column schedule_states.error is 'Why the last time did not fire; null if it did.';
comment on column schedule_states.jitter is 'It fires up to this much later.';
comment on column schedule_states.starts_at is 'It is not due before.';
comment on column schedule_states.ends_at is 'It is not due after.';
comment on column schedule_states.max_runs is 'After so many runs it has ended.';
comment on column schedule_states.missed is 'What becomes of missed times: skip, once, all.';
comment on column schedule_states.missed_limit is 'With all, how many of them fire.';
comment on column schedule_states.overlap is 'When an earlier run has not ended: allow, skip, queue, cancel.';
comment on column schedule_states.declared_by is 'Who declares it in code; null: it was made by hand.';
comment on column schedule_states.paused_at is 'Since when it is paused.';
comment on column schedule_states.paused_by is 'Who paused it.';
comment on column schedule_states.pause_reason is 'Why.';
comment on column schedule_states.created_at is 'When it was created.';
comment on column schedule_states.updated_at is 'When it was last changed, paused or resumed.';
comment on column schedule_states.job is 'The job that it enqueues.';
comment on column schedule_states.dag is 'The DAG that it submits.';
-- +goose StatementEnd

-- +goose StatementBegin
-- sequence_states: one row per sequence with unfinished jobs. A stable contract for SELECT: by key it costs some look-ups;
-- list_sequences gives all in pages. waiting is counted up to 10,000. Locks nothing.
-- roles: operator, reader
create view sequence_states as
select s.key,
       case
           when s.stopped_at is not null then 'stopped'
           when s.skip_to is not null then 'skipping'
           when s.job_id is null then 'handing over'
           else 'active'
       end as state,
       s.job_id,
       j.kind,
       j.queue,
       j.state as job_state,
       j.error,
       s.stopped_at,
       s.cause_id,
       l.waiting,
       l.waiting < 10000 as exact
from sequences s
left join lateral (select kind, queue, state, error from job_states where id = s.job_id offset 0) j on true
cross join lateral (
    select count(*) as waiting
    from (select from waiting w where w.sequence = s.key order by w.job_id limit 10000) w) l;
comment on view sequence_states is 'One row per sequence with unfinished jobs.';
comment on column sequence_states.key is 'The sequence.';
comment on column sequence_states.state is 'active, stopped (its head failed), skipping (those behind a failed job) or handing over (the next one is looked for).';
comment on column sequence_states.job_id is 'Its head: the job that may run, or has stopped it.';
comment on column sequence_states.kind is 'Which handler is to do that.';
comment on column sequence_states.queue is 'Where that waits or waited.';
comment on column sequence_states.job_state is 'scheduled, ready, running; failed where it has stopped the sequence.';
comment on column sequence_states.error is 'Why it failed.';
comment on column sequence_states.stopped_at is 'When the sequence was stopped.';
comment on column sequence_states.cause_id is 'The failed job for which others are being skipped.';
comment on column sequence_states.waiting is 'How many jobs are in line, counted up to 10,000.';
comment on column sequence_states.exact is 'False: there are more.';
-- +goose StatementEnd

-- +goose StatementBegin
-- worker_states: one row per registered worker: whether it lives, what it serves and how much it holds. A stable contract
-- for SELECT. state: alive; silent (no heartbeat within its lease: about to be declared dead); dead (its jobs are given to
-- others; it registers anew if it still runs). Locks nothing.
-- roles: operator, reader
create view worker_states as
select w.id,
       w.name,
       case
           when w.dead_at is not null then 'dead'
           when w.heartbeat_at > statement_timestamp() - w.lease then 'alive'
           else 'silent'
       end as state,
       w.queues,
       w.kinds,
       w.lease,
       w.started_at,
       w.heartbeat_at,
       statement_timestamp() - w.heartbeat_at as heartbeat_age,
       w.dead_at,
       coalesce(r.jobs, 0) as running,
       r.oldest_claimed_at
from workers w
left join (
    select worker_id, count(*) as jobs, min(claimed_at) as oldest_claimed_at
    from running group by 1) r on r.worker_id = w.id;
comment on view worker_states is 'One row per registered worker.';
comment on column worker_states.id is 'The worker''s id, as in running_jobs.';
comment on column worker_states.name is 'The name that it gave itself.';
comment on column worker_states.state is 'alive, silent (no heartbeat within its lease) or dead.';
comment on column worker_states.queues is 'The queues that it serves.';
comment on column worker_states.kinds is 'The kinds of jobs that it has handlers for.';
comment on column worker_states.lease is 'How long it may be silent before it is declared dead.';
comment on column worker_states.started_at is 'When it registered.';
comment on column worker_states.heartbeat_at is 'When it was last heard of.';
comment on column worker_states.heartbeat_age is 'How long ago that was.';
comment on column worker_states.dead_at is 'When it was declared dead.';
comment on column worker_states.running is 'How many jobs it holds.';
comment on column worker_states.oldest_claimed_at is 'When it claimed the oldest of these.';
-- +goose StatementEnd

-- +goose StatementBegin
-- tenant_jobs: the jobs of the tenants that the caller may read: those whose metadata name one of them ({"tenant": "acme"}), and the
-- nodes of such DAGs. Args and results are null unless granted (payloads). A stable contract for SELECT; ask by id, or
-- newest first with a limit: there is no index by tenant. Locks nothing.
-- Its order is for that, as in own_jobs.
-- roles: tenant
create view tenant_jobs with (security_barrier) as
select t.tenant, j.id, j.queue, j.kind, j.priority, s.state, s.attempt, j.max_attempts, j.created_at, s.run_at, s.claimed_at, f.finished_at,
       j.expires_at, j.timeout, j.tags, j.metadata, f.error, j.dag_id, j.name,
       case when t.tenant = any((select own_tenants(true))::text[]) then j.args end as args, j.codec,
       case when t.tenant = any((select own_tenants(true))::text[]) then j.payload end as payload,
       case when t.tenant = any((select own_tenants(true))::text[]) then f.output end as output, f.codec as output_codec,
       case when t.tenant = any((select own_tenants(true))::text[]) then f.payload end as output_payload,
       j.group_name
from jobs j
left join lateral (select metadata from jobs where id = j.dag_id offset 0) d on true
cross join lateral (select coalesce(d.metadata ->> 'tenant', j.metadata ->> 'tenant') as tenant) t
cross join lateral (select state, attempt, run_at, claimed_at from job_states where id = j.id offset 0) s
left join lateral (select error, finished_at, output, codec, payload from results where job_id = j.id offset 0) f on true
where t.tenant = any((select own_tenants())::text[])
order by j.id desc;
comment on view tenant_jobs is 'The jobs of the tenants that the caller may read.';
comment on column tenant_jobs.tenant is 'The tenant that its metadata name.';
comment on column tenant_jobs.id is 'The job.';
comment on column tenant_jobs.queue is 'Where it waits or waited.';
comment on column tenant_jobs.kind is 'Which handler is to do it; of a DAG its name.';
comment on column tenant_jobs.priority is '0 (soonest) to 9.';
comment on column tenant_jobs.state is 'waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired.';
comment on column tenant_jobs.attempt is 'Attempts so far, the running one included.';
comment on column tenant_jobs.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column tenant_jobs.created_at is 'When it was enqueued.';
comment on column tenant_jobs.run_at is 'When a scheduled job becomes ready.';
comment on column tenant_jobs.claimed_at is 'When a worker claimed it last.';
comment on column tenant_jobs.finished_at is 'When it ended.';
comment on column tenant_jobs.expires_at is 'When it expires unless it was started; the deadline of a DAG.';
comment on column tenant_jobs.timeout is 'For how long an attempt may run; null: as its queue says.';
comment on column tenant_jobs.tags is 'Words to find it by.';
comment on column tenant_jobs.metadata is 'A JSON object that goes with it.';
comment on column tenant_jobs.error is 'Why it did not complete.';
comment on column tenant_jobs.dag_id is 'The DAG of which it is a node.';
comment on column tenant_jobs.name is 'Its name in that DAG; a path for nodes of sub-DAGs.';
comment on column tenant_jobs.args is 'Its input.';
comment on column tenant_jobs.codec is 'Which codec wrote payload; null: args are JSON.';
comment on column tenant_jobs.payload is 'Its input in place of args, as a codec wrote it.';
comment on column tenant_jobs.output is 'The result''s value.';
comment on column tenant_jobs.output_codec is 'Which codec wrote output_payload; null: output is JSON.';
comment on column tenant_jobs.output_payload is 'The result''s value in place of output, as a codec wrote it.';
comment on column tenant_jobs.group_name is 'The group with which it shares limits and takes turns.';
-- +goose StatementEnd

-- +goose StatementBegin
-- batch_progress(batch_id): the batch as in batches, with how far it is. One row always; raises PQ004 when there is no such batch, or for a mere
-- producer when others submitted it. Locks nothing.
--
--   select open, done, total, percent from pgq.batch_progress(42);
-- roles: producer, worker, operator, reader
create function batch_progress(batch_id bigint) returns setof batches
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    perform check_batch(batch_id);
    return query select b.* from batches b where b.id = batch_progress.batch_id;
end
$$;
comment on function batch_progress is 'How far a batch is.';
-- +goose StatementEnd

-- +goose StatementBegin
-- get_jobs(job_ids): all that is known of jobs, newest first; those that do not exist are left out, and for
-- mere producers those that others enqueued.
-- What the view job_details says, with a plan that is made once per session.
-- roles: producer, worker, operator, reader
create function get_jobs(job_ids bigint[]) returns setof job_details
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query select d.* from job_details d where d.id = any(visible(job_ids)) order by d.id desc;
end
$$;
comment on function get_jobs is 'All that is known of jobs.';
-- +goose StatementEnd

-- +goose StatementBegin
-- job(id): all that is known of one job, its result (output) included, as it is now: no waiting. Null columns for what is not
-- there yet; no row when there is no such job.
--
--   select state, output, error from pgq.job(42);
-- roles: producer, worker, operator, reader
create function job(id bigint) returns setof job_details
language sql stable security definer set search_path from current
as $$ select * from get_jobs(array[id]) $$;
comment on function job is 'All that is known of a job, its result included; no row when there is no such job.';
-- +goose StatementEnd

-- +goose StatementBegin
-- list_jobs(filter, at_most): jobs that fit a filter (see select_jobs), newest first. The filter's "before" gives the next
-- page: the id of the last row.
--
--   select id, kind, state, error from pgq.list_jobs('{"queues": ["mail"], "states": ["failed"]}');
--
-- Looks for at_most jobs however many it has to look at: select_jobs is the bounded step of it.
-- roles: operator, reader
create function list_jobs(filter jsonb default '{}', at_most integer default 100) returns setof job_states
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    found bigint[] := '{}';
    page record;
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    loop
        select * into page from select_jobs(filter, at_most - cardinality(found), newest_first => true);
        found := found || page.job_ids;
        exit when page.next is null or cardinality(found) = at_most;
        filter := filter || jsonb_build_object('before', page.next);
    end loop;
    return query select s.* from job_states s where s.id = any(found) order by s.id desc;
end
$$;
comment on function list_jobs is 'Jobs that fit a filter, newest first.';
-- +goose StatementEnd

-- +goose StatementBegin
-- list_limits(of_scope, after_scope, after_name, at_most, without_room): what limit_states shows, by scope and name, after the given ones, of one scope (queue,
-- kind, group; null: of any); with without_room only those of which no job may start now. Reads as much as a page needs, however many groups there are; of
-- those without room it looks at all that have a limit, a pause or running jobs that count.
-- Raises PQ001 for a scope that is none. Locks nothing.
-- roles: operator, reader
create function list_limits(
    of_scope text default null, after_scope text default '', after_name text default '', at_most integer default 1000, without_room boolean default false)
returns setof limit_states
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    behind constant text := case when after_scope > 'group' then null when after_scope = 'group' then after_name else '' end; -- groups are
begin
    if of_scope not in ('queue', 'kind', 'group') then
        perform invalid('of_scope', 'must be queue, kind or group');
    elsif at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query
        select s.*
        from (
            (select l.scope, l.name from limits l
             where (l.scope, l.name) > (coalesce(after_scope, ''), coalesce(after_name, '')) and (l.scope <> 'group' or right(l.name, 1) <> '*')
               and (of_scope is null or l.scope = of_scope)
             order by l.scope, l.name limit case when not without_room then at_most end)
            union
            (select g.scope, g.name from gates g
             where (g.scope, g.name) > (coalesce(after_scope, ''), coalesce(after_name, '')) and (of_scope is null or g.scope = of_scope)
               and (g.paused_until > statement_timestamp() or g.scope = 'group' and exists (select from limit_of(g.name)))
             order by g.scope, g.name limit case when not without_room then at_most end)
            union
            (select distinct 'group', x.group_name from slots x
             where x.group_name > behind
             order by x.group_name limit case when not without_room then at_most end)
            union
            (select 'group', x.group_name
             from queues_in_turn() q
             cross join lateral (
                 select distinct b.group_name from backlogs b
                 where b.queue = q and b.group_name > behind
                 order by b.group_name limit at_most) x
             where not without_room)
            order by scope, name) n
        cross join lateral limit_state(n.scope, n.name, greatest(100, 500000 / at_most)) s
        where (of_scope is null or n.scope = of_scope) and (not without_room or s.state <> 'free')
        order by n.scope, n.name
        limit at_most;
end
$$;
comment on function list_limits is 'What limits there are and how much of them is in use, in pages.';
-- +goose StatementEnd

-- +goose StatementBegin
-- list_sequences(state, after, at_most): sequences with unfinished jobs, by key, those after the given one; state, null for any: active,
-- stopped (its head failed), skipping (jobs behind a failed one are being skipped) or handing over (the next one is looked for).
-- waiting: how many are in line, counted up to 10,000. Raises PQ001 for a state that is none. Locks nothing.
-- roles: operator, reader
create function list_sequences(state text default null, after text default '', at_most integer default 1000)
returns setof sequence_states
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    if list_sequences.state not in ('active', 'stopped', 'skipping', 'handing over') then
        perform invalid('state', 'must be active, stopped, skipping or handing over');
    elsif at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query
        select v.* from sequence_states v
        where v.key > list_sequences.after and (list_sequences.state is null or v.state = list_sequences.state)
        order by v.key limit at_most;
end
$$;
comment on function list_sequences is 'Sequences with unfinished jobs, by key.';
-- +goose StatementEnd

-- +goose StatementBegin
-- sequence_line(key, after, at_most): the jobs of a sequence that have not ended, in the order in which they run: the head, also one that has stopped
-- it, and those in line. after: only those behind this job. No rows when there is none. Locks nothing.
-- roles: operator, reader
create function sequence_line(key text, after bigint default 0, at_most integer default 1000) returns setof job_details
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query
        select s.*
        from (select h.job_id, 0 as place from sequences h where h.key = sequence_line.key and h.job_id is not null and after = 0
              union all
              (select w.job_id, 1 from waiting w where w.sequence = sequence_line.key and w.job_id > after order by w.job_id limit at_most)
              order by place, job_id limit at_most) l
        cross join lateral (select * from job_details where id = l.job_id offset 0) s
        order by l.place, l.job_id;
end
$$;
comment on function sequence_line is 'The jobs of a sequence that have not ended, in order.';
-- +goose StatementEnd

-- For whom they are, from the headers of their files.
delete from rights;
insert into rights (object, class) values
    ('ack_events', 'operator'),
    ('ack_events', 'worker'),
    ('add_logs', 'worker'),
    ('await_step', 'worker'),
    ('batch_add', 'operator'),
    ('batch_add', 'producer'),
    ('batch_add', 'worker'),
    ('batch_cancel', 'operator'),
    ('batch_close', 'operator'),
    ('batch_close', 'producer'),
    ('batch_close', 'worker'),
    ('batch_progress', 'operator'),
    ('batch_progress', 'producer'),
    ('batch_progress', 'reader'),
    ('batch_progress', 'worker'),
    ('batch_retry', 'operator'),
    ('batch_submit', 'producer'),
    ('batches', 'operator'),
    ('batches', 'reader'),
    ('cancel', 'operator'),
    ('change_jobs', 'operator'),
    ('check_invariants', 'operator'),
    ('chore_states', 'operator'),
    ('chore_states', 'reader'),
    ('claim', 'worker'),
    ('claim_jobs', 'worker'),
    ('complete', 'worker'),
    ('complete_job', 'worker'),
    ('consume_events', 'operator'),
    ('consume_events', 'worker'),
    ('consumer_lag', 'operator'),
    ('consumer_lag', 'reader'),
    ('consumer_states', 'operator'),
    ('consumer_states', 'reader'),
    ('counts', 'operator'),
    ('counts', 'reader'),
    ('cron_problem', 'operator'),
    ('cron_problem', 'producer'),
    ('cron_problem', 'reader'),
    ('cron_problem', 'worker'),
    ('dag_blockers', 'operator'),
    ('dag_blockers', 'reader'),
    ('dag_cancel', 'operator'),
    ('dag_complete', 'operator'),
    ('dag_critical_path', 'operator'),
    ('dag_critical_path', 'reader'),
    ('dag_dot', 'operator'),
    ('dag_dot', 'reader'),
    ('dag_edges', 'operator'),
    ('dag_edges', 'reader'),
    ('dag_explain', 'operator'),
    ('dag_explain', 'reader'),
    ('dag_extend', 'operator'),
    ('dag_extend', 'worker'),
    ('dag_fail', 'operator'),
    ('dag_fork', 'operator'),
    ('dag_graph_json', 'operator'),
    ('dag_graph_json', 'reader'),
    ('dag_hold', 'operator'),
    ('dag_items', 'operator'),
    ('dag_items', 'payloads'),
    ('dag_items', 'worker'),
    ('dag_levels', 'operator'),
    ('dag_levels', 'reader'),
    ('dag_mermaid', 'operator'),
    ('dag_mermaid', 'reader'),
    ('dag_nodes', 'operator'),
    ('dag_nodes', 'reader'),
    ('dag_of_key', 'operator'),
    ('dag_of_key', 'reader'),
    ('dag_of_key', 'worker'),
    ('dag_problems', 'operator'),
    ('dag_problems', 'worker'),
    ('dag_progress', 'operator'),
    ('dag_progress', 'reader'),
    ('dag_progress', 'worker'),
    ('dag_result', 'operator'),
    ('dag_result', 'payloads'),
    ('dag_result', 'worker'),
    ('dag_resume', 'operator'),
    ('dag_retry', 'operator'),
    ('dag_slowest', 'operator'),
    ('dag_slowest', 'reader'),
    ('dag_submit', 'producer'),
    ('dag_theme', 'operator'),
    ('dag_theme', 'producer'),
    ('dag_theme', 'reader'),
    ('dag_theme', 'worker'),
    ('dag_upstream', 'operator'),
    ('dag_upstream', 'payloads'),
    ('dag_upstream', 'worker'),
    ('dags', 'operator'),
    ('dags', 'reader'),
    ('delete', 'operator'),
    ('delete_consumer', 'operator'),
    ('delete_limit', 'operator'),
    ('delete_schedule', 'operator'),
    ('disown', 'worker'),
    ('do_chores', 'operator'),
    ('do_chores', 'worker'),
    ('doctor', 'operator'),
    ('ended_per_minute', 'operator'),
    ('ended_per_minute', 'reader'),
    ('enqueue', 'producer'),
    ('enqueue_jobs', 'producer'),
    ('enqueue_many', 'producer'),
    ('enqueue_one', 'producer'),
    ('enqueue_reserve', 'producer'),
    ('enqueue_trigger', 'producer'),
    ('error_fingerprint', 'operator'),
    ('error_fingerprint', 'reader'),
    ('event_gaps', 'operator'),
    ('event_gaps', 'reader'),
    ('event_types', 'operator'),
    ('event_types', 'reader'),
    ('event_types', 'worker'),
    ('expire', 'operator'),
    ('expire', 'worker'),
    ('explain_job', 'operator'),
    ('explain_job', 'reader'),
    ('export_events', 'operator'),
    ('export_events', 'reader'),
    ('export_jobs', 'operator'),
    ('export_jobs', 'payloads'),
    ('export_settings', 'operator'),
    ('extend_events', 'operator'),
    ('extend_events', 'worker'),
    ('fail', 'worker'),
    ('fail_events', 'operator'),
    ('fail_events', 'worker'),
    ('fail_job', 'worker'),
    ('failures', 'operator'),
    ('failures', 'reader'),
    ('fall_asleep', 'worker'),
    ('fire_schedules', 'operator'),
    ('fire_schedules', 'worker'),
    ('forget_steps', 'operator'),
    ('get_jobs', 'operator'),
    ('get_jobs', 'producer'),
    ('get_jobs', 'reader'),
    ('get_jobs', 'worker'),
    ('give_up', 'worker'),
    ('give_up_job', 'worker'),
    ('granted_roles', 'operator'),
    ('granted_roles', 'reader'),
    ('health', 'operator'),
    ('health', 'reader'),
    ('heartbeat', 'worker'),
    ('import_setting', 'operator'),
    ('is_finished', 'operator'),
    ('is_finished', 'producer'),
    ('is_finished', 'reader'),
    ('is_finished', 'worker'),
    ('job', 'operator'),
    ('job', 'producer'),
    ('job', 'reader'),
    ('job', 'worker'),
    ('job_details', 'operator'),
    ('job_details', 'reader'),
    ('job_errors', 'operator'),
    ('job_errors', 'reader'),
    ('job_history', 'operator'),
    ('job_history', 'reader'),
    ('job_logs', 'operator'),
    ('job_logs', 'payloads'),
    ('job_states', 'operator'),
    ('job_states', 'reader'),
    ('job_stats', 'operator'),
    ('job_stats', 'reader'),
    ('job_steps', 'operator'),
    ('job_steps', 'worker'),
    ('kind_names', 'operator'),
    ('kind_names', 'reader'),
    ('kind_settings', 'operator'),
    ('kind_settings', 'reader'),
    ('latest_events', 'operator'),
    ('latest_events', 'reader'),
    ('lease_events', 'operator'),
    ('lease_events', 'worker'),
    ('limit_settings', 'operator'),
    ('limit_settings', 'reader'),
    ('limit_state', 'operator'),
    ('limit_state', 'reader'),
    ('limit_states', 'operator'),
    ('limit_states', 'reader'),
    ('list_failures', 'operator'),
    ('list_failures', 'reader'),
    ('list_jobs', 'operator'),
    ('list_jobs', 'reader'),
    ('list_limits', 'operator'),
    ('list_limits', 'reader'),
    ('list_sequences', 'operator'),
    ('list_sequences', 'reader'),
    ('log_job', 'worker'),
    ('move', 'operator'),
    ('next_time', 'operator'),
    ('next_time', 'producer'),
    ('next_time', 'reader'),
    ('next_time', 'worker'),
    ('next_times', 'operator'),
    ('next_times', 'reader'),
    ('own_jobs', 'operator'),
    ('own_jobs', 'producer'),
    ('own_producers', 'operator'),
    ('own_producers', 'producer'),
    ('own_producers', 'reader'),
    ('own_producers', 'worker'),
    ('own_tenants', 'tenant'),
    ('pause_limit', 'operator'),
    ('pause_limit', 'worker'),
    ('pause_queue', 'operator'),
    ('pause_schedule', 'operator'),
    ('preview_times', 'operator'),
    ('preview_times', 'producer'),
    ('preview_times', 'reader'),
    ('preview_times', 'worker'),
    ('promote', 'operator'),
    ('promote', 'worker'),
    ('propagate_frontier', 'operator'),
    ('propagate_frontier', 'worker'),
    ('prune', 'operator'),
    ('prune', 'worker'),
    ('prune_events', 'operator'),
    ('prune_events', 'worker'),
    ('prune_finished', 'operator'),
    ('queue_figures', 'operator'),
    ('queue_figures', 'reader'),
    ('queue_settings', 'operator'),
    ('queue_settings', 'producer'),
    ('queue_settings', 'reader'),
    ('queue_settings', 'worker'),
    ('queue_states', 'operator'),
    ('queue_states', 'reader'),
    ('queue_work', 'operator'),
    ('queue_work', 'reader'),
    ('queue_work', 'worker'),
    ('read_events', 'operator'),
    ('read_events', 'reader'),
    ('read_step', 'worker'),
    ('read_steps', 'worker'),
    ('reconcile_schedules', 'operator'),
    ('record_step', 'worker'),
    ('register_worker', 'worker'),
    ('registered_queues', 'operator'),
    ('registered_queues', 'reader'),
    ('release', 'worker'),
    ('release_job', 'worker'),
    ('report_progress', 'worker'),
    ('reschedule', 'operator'),
    ('rescue', 'operator'),
    ('rescue', 'worker'),
    ('reset_consumer', 'operator'),
    ('resume_limit', 'operator'),
    ('resume_queue', 'operator'),
    ('resume_schedule', 'operator'),
    ('resume_sequence', 'operator'),
    ('retire_worker', 'worker'),
    ('retry', 'operator'),
    ('run_schedule', 'operator'),
    ('running_jobs', 'operator'),
    ('running_jobs', 'reader'),
    ('save_cursor', 'worker'),
    ('schedule_history', 'operator'),
    ('schedule_history', 'reader'),
    ('schedule_states', 'operator'),
    ('schedule_states', 'reader'),
    ('sees_payloads', 'operator'),
    ('sees_payloads', 'producer'),
    ('sees_payloads', 'reader'),
    ('sees_payloads', 'worker'),
    ('select_jobs', 'operator'),
    ('select_jobs', 'reader'),
    ('send_signal', 'operator'),
    ('send_signal', 'producer'),
    ('send_signal', 'worker'),
    ('sequence_line', 'operator'),
    ('sequence_line', 'reader'),
    ('sequence_states', 'operator'),
    ('sequence_states', 'reader'),
    ('set_consumer', 'operator'),
    ('set_consumer', 'worker'),
    ('set_kind', 'operator'),
    ('set_limit', 'operator'),
    ('set_priority', 'operator'),
    ('set_queue', 'operator'),
    ('set_schedule', 'operator'),
    ('set_schedule_json', 'operator'),
    ('sleep_gate', 'operator'),
    ('sleep_gate', 'reader'),
    ('sleep_gate', 'worker'),
    ('sleep_on_events', 'operator'),
    ('sleep_on_events', 'worker'),
    ('snooze', 'worker'),
    ('snooze_job', 'worker'),
    ('subscribe', 'operator'),
    ('subscribe', 'reader'),
    ('suspend', 'worker'),
    ('tenant_jobs', 'tenant'),
    ('throughput', 'operator'),
    ('throughput', 'reader'),
    ('unknown_kinds', 'operator'),
    ('unknown_kinds', 'reader'),
    ('unknown_kinds', 'worker'),
    ('unsubscribe', 'operator'),
    ('unsubscribe', 'reader'),
    ('verbs', 'operator'),
    ('verbs', 'producer'),
    ('verbs', 'reader'),
    ('verbs', 'worker'),
    ('waiting_groups', 'operator'),
    ('waiting_groups', 'reader'),
    ('wake_on_events', 'operator'),
    ('wake_on_events', 'worker'),
    ('wake_up', 'worker'),
    ('worker_states', 'operator'),
    ('worker_states', 'reader');
do $$ begin perform apply_grants(); end $$;

-- +goose Down
drop function sequence_line;
drop function list_sequences;
drop function list_limits;
drop function list_jobs;
drop function job;
drop function get_jobs;
drop function batch_progress;
drop view tenant_jobs;
drop view worker_states;
drop view sequence_states;
drop view schedule_states;
drop view own_jobs;
drop view limit_states;
drop view job_details;
drop view dag_nodes;
drop view dag_blockers;
drop view consumer_states;
drop view verbs;
drop view throughput;
drop view running_jobs;
drop view registered_queues;
drop view queue_states;
drop view limit_settings;
drop view kind_settings;
drop view job_states;
drop view health;
drop view granted_roles;
drop view failures;
drop view dags;
drop view dag_edges;
drop view chore_states;
drop view batches;
drop function zone_problem;
drop function zone_change;
drop function within;
drop function withdraw_waiting;
drop function withdraw;
drop function wants_event;
drop function walk_completed;
drop function wake_up;
drop function wake_turns;
drop function wake_on_events;
drop function wake_chores;
drop function wake;
drop function waiting_groups;
drop function visible;
drop function virtual_result;
drop function untold_jobs;
drop function unsubscribe;
drop function unpark;
drop function unknown_kinds;
drop function unique_wait;
drop function unique_verdicts;
drop function unique_until;
drop function unique_problem;
drop function unique_key;
drop function transactions_look;
drop function too_busy;
drop function tokens_at;
drop function time_after;
drop function tend_breakers;
drop function tend_backlogs;
drop function take_sequences;
drop function take_keys;
drop function take_aged;
drop function suspend;
drop function subscribe;
drop function start_scheduled;
drop function start_nodes;
drop function start_again;
drop function spread;
drop function spend;
drop function snooze_job;
drop function snooze;
drop function sleep_on_events;
drop function sleep_gate;
drop function skip_in_line;
drop function sink_of;
drop function settle_probes;
drop function settle;
drop function settings_of;
drop function setting_fields;
drop function set_schedule_json;
drop function set_schedule;
drop function set_queue;
drop function set_priority;
drop function set_limit;
drop function set_kind;
drop function set_consumer;
drop function sequence_problem;
drop function send_signal;
drop function select_jobs;
drop function sees_payloads;
drop function scope_of;
drop function schedule_next;
drop function schedule_job;
drop function schedule_history;
drop function schedule_due;
drop function schedule_alive;
drop function save_cursor;
drop function sampled_jobs;
drop function sample_pages;
drop function runs_of;
drop function run_schedule;
drop function rule_thresholds;
drop function rfc3339;
drop function rewait;
drop function revoke_role;
drop function retry_in_line;
drop function retry;
drop function retire_worker;
drop function resume_sequence;
drop function resume_schedule;
drop function resume_queue;
drop function resume_limit;
drop function reset_consumer;
drop function rescue_worker;
drop function rescue;
drop function reschedule;
drop function report_progress;
drop function replace_jobs;
drop function renumber;
drop function release_job;
drop function release_items;
drop function release;
drop function register_worker;
drop function recount;
drop function record_step;
drop function record_operation;
drop function record_event;
drop function reconcile_schedules;
drop function recent_times;
drop function rearrange;
drop function ready_rows;
drop function ready_again;
drop function read_window;
drop function read_up_to;
drop function read_steps;
drop function read_step;
drop function read_spec;
drop function read_settings;
drop function read_filter;
drop function read_events;
drop function read_cron;
drop function queues_named;
drop function queues_in_turn;
drop function queue_work;
drop function queue_settings;
drop function queue_room;
drop function queue_names;
drop function queue_figures;
drop function queue_depth;
drop function put_turns;
drop function put_ready;
drop function put_off_wide;
drop function put_off_missed;
drop function prune_keys;
drop function prune_finished;
drop function prune_events;
drop function prune;
drop function propagate_frontier;
drop function propagate;
drop function promote_due;
drop function promote;
drop function preview_times;
drop function plan_schedule;
drop function places;
drop function pin_ready;
drop function pin_queued;
drop function pin_frontier;
drop function pin;
drop function pause_schedule;
drop function pause_queue;
drop function pause_limit;
drop function park;
drop function own_tenants;
drop function own_producers;
drop function operator_data;
drop function open_window;
drop function open_external;
drop function notify_subscribers;
drop function note_unfired;
drop function note_queue_probe;
drop function note_fired;
drop function node_verdict;
drop function next_turn;
drop function next_times;
drop function next_time;
drop function next_in_line;
drop function next_bit;
drop function next_batch;
drop function newest_failures;
drop function newest_event_id;
drop function move_position;
drop function move;
drop function members_of;
drop function max_run_size;
drop function make_keys;
drop function log_problem;
drop function log_job;
drop function lock_dags;
drop function lock_dag;
drop function list_failures;
drop function line_up;
drop function limit_state;
drop function limit_of;
drop function lease_events;
drop function latest_events;
drop function kinds_in_line;
drop function kind_names;
drop function keep_waited;
drop function keep_position;
drop function judge;
drop function jobs_from_json;
drop function job_streams;
drop function job_steps;
drop function job_stats;
drop function job_problem;
drop function job_logs;
drop function job_history;
drop function job_errors;
drop function jittered;
drop function is_unread;
drop function is_owner;
drop function is_item;
drop function is_finished;
drop function is_batch;
drop function invalid;
drop function instant_of;
drop function import_setting;
drop function import_reserve;
drop function import_jobs;
drop function import_insert;
drop function import_finish;
drop function import_events;
drop function import_analyze;
drop function holds_lease;
drop function hold;
drop function heartbeat;
drop function group_problem;
drop function grant_role;
drop function give_up_job;
drop function give_up;
drop function gate_was_skipped;
drop function gate_room;
drop function free_slots;
drop function forget_steps;
drop function forget_runs;
drop function forget_members;
drop function forget_keys;
drop function forget;
drop function fire_schedules;
drop function find_schedule;
drop function fill_sequences;
drop function fall_asleep;
drop function fail_job;
drop function fail_events;
drop function fail_dag;
drop function fail;
drop function extend_events;
drop function export_tables;
drop function export_settings;
drop function export_jobs;
drop function export_events;
drop function explain_waiting;
drop function explain_turn;
drop function explain_time;
drop function explain_scheduled;
drop function explain_running;
drop function explain_ready;
drop function explain_queue;
drop function explain_one;
drop function explain_limits;
drop function explain_job;
drop function explain_in_line;
drop function explain_finished;
drop function explain_deepest;
drop function explain_aged;
drop function explain_age;
drop function expire_dags;
drop function expire;
drop function expand_maps_of;
drop function expand_map;
drop function events_wanted;
drop function events_of_batch;
drop function event_types;
drop function event_gate;
drop function event_gaps;
drop function event_fence;
drop function event_channel;
drop function error_shape;
drop function error_fingerprint;
drop function enqueue_trigger;
drop function enqueue_special;
drop function enqueue_reserve;
drop function enqueue_one;
drop function enqueue_many;
drop function enqueue_jobs;
drop function enqueue;
drop function ended_places;
drop function ended_per_minute;
drop function ended_near;
drop function end_dags;
drop function end_attempts;
drop function edge_outcome;
drop function drop_gate;
drop function doomed_dags;
drop function doom_dags;
drop function doctor_work;
drop function doctor_transactions;
drop function doctor_tables;
drop function doctor_server;
drop function doctor_rights;
drop function doctor_grants;
drop function doctor_events;
drop function doctor;
drop function do_chores;
drop function disown;
drop function deliver;
drop function delete_schedule;
drop function delete_limit;
drop function delete_consumer;
drop function delete;
drop function decide;
drop function deal_round;
drop function deal;
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
drop function dag_of_key;
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
drop function cron_problem;
drop function cron_local;
drop function cron_field;
drop function cron_after;
drop function counts;
drop function count_strikes;
drop function consumer_start;
drop function consumer_lag;
drop function consumer_is_due;
drop function consume_events;
drop function complete_job;
drop function complete;
drop function claim_turns;
drop function claim_jobs;
drop function claim_aside;
drop function claim;
drop function chore_is_due;
drop function check_submitter;
drop function check_step_type;
drop function check_step_name;
drop function check_setting;
drop function check_scope;
drop function check_schema;
drop function check_schedule_job;
drop function check_schedule_dag;
drop function check_schedule;
drop function check_replaced;
drop function check_producer;
drop function check_parallel;
drop function check_limits;
drop function check_limit;
drop function check_json_types;
drop function check_jobs_json;
drop function check_invariants;
drop function check_holders;
drop function check_grant;
drop function check_depth;
drop function check_consumer;
drop function check_callbacks_object;
drop function check_callbacks;
drop function check_callback;
drop function check_batch_spec;
drop function check_batch_producer;
drop function check_batch_jobs;
drop function check_batch;
drop function channel;
drop function changes;
drop function change_owners;
drop function change_jobs;
drop function carry_out;
drop function cancel_all;
drop function cancel;
drop function caller;
drop function callbacks_problem;
drop function call_back;
drop function breaker_of;
drop function begin_map;
drop function batches_in;
drop function batch_submit;
drop function batch_retry;
drop function batch_refuse;
drop function batch_nodes;
drop function batch_dag;
drop function batch_close;
drop function batch_cancel;
drop function batch_add;
drop function backoff_problem;
drop function backoff_delays_problem;
drop function backoff_delay;
drop function await_step;
drop function args_fit;
drop function apply_verb;
drop function apply_grants;
drop function any_key_known;
drop function answer_node;
drop function announce;
drop function advisory_key;
drop function advance_sequences;
drop function adopt_events;
drop function add_vacancies;
drop function add_strikes;
drop function add_logs;
drop function add_backlogs;
drop function act_as_owner;
drop function ack_events;
