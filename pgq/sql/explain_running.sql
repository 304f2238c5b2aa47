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
