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
