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
