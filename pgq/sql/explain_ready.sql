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
