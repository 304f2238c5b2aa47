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
    select w.* into job from waiting w where w.job_id = explain_turn.id;
    return query select e.reason, e.detail, job.job_id from explain_queue(job.queue) e;
    return query select l.reason, l.detail, job.job_id from explain_limits(job.queue, job.kind, job.group_name) l;
    if not exists (
        select from workers w
        where w.dead_at is null and w.heartbeat_at > now - w.lease and job.queue = any(w.queues) and job.kind = any(w.kinds)) then
        return query select 'no worker', format('no live worker of queue %s knows kind %s', job.queue, job.kind), job.job_id;
    end if;
    ahead := (select count(*) from (
        select from waiting w
        where w.role = 'turn' and w.queue = job.queue and w.group_name = job.group_name
          and (w.priority, w.seq) < (job.priority, job.seq) limit 10000) a);
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
