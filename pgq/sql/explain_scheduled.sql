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
