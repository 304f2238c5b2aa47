-- claim_aside(worker_id, job_ids, sizes, attempts, loud): what a claim does of which most claims have nothing to do: ends jobs that are
-- claimed too late for the first time, and tells of what was claimed if anybody wants to know. Internal: claim,
-- which has taken these runs out of ready and leased those that are not too late.
create function claim_aside(worker_id bigint, job_ids bigint[], sizes integer[], attempts integer[], loud boolean) returns void
language sql
as $$
    with claimed as materialized (
        select j.*, r.attempt + 1 as attempt, coalesce(j.expires_at <= now() and r.attempt = 0, false) as too_late
        from unnest(job_ids, sizes, attempts) r(job_id, size, attempt)
        cross join lateral (
            select id, queue, expires_at, result_ttl, dag_id from jobs where id >= r.job_id and id < r.job_id + r.size offset 0) j
    ), expired as (
        insert into results (job_id, queue, state, attempt, finished_at, expires_at, error, dag_id)
        select id, queue, 'expired', 0, now(), now() + result_ttl, 'not started within its time to live', dag_id
        from claimed
        where too_late
    ), untold as (
        insert into frontier (parent_id, first_child, last_child)
        select id, 0, 9223372036854775807 from claimed
        where too_late and exists (select from edges e where e.parent_id = claimed.id offset 0)
    )
    insert into events (job_id, queue, type, attempt, worker_id)
    select id, queue, case when too_late then 'expired' else 'claimed' end,
           case when too_late then 0 else attempt end, case when not too_late then claim_aside.worker_id end
    from claimed
    where (too_late or loud) and wants_event(queue, too_late)
$$;
comment on function claim_aside is 'What a claim does beside leasing jobs.';
