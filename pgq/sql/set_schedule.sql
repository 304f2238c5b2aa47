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
