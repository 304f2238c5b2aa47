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
