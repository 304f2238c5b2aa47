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
