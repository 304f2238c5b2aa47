-- check_invariants(): every broken invariant, in one snapshot; no rows when all is well. Reads whole tables.
-- Stands in for the foreign keys that the hot path does without.
create function check_invariants() returns table (rule text, job_id bigint, detail text)
language sql stable set search_path from current set jit = off
as $$
    with members as materialized (
        select r.job_id + g as id, 'ready' as place from ready r, generate_series(0, r.size - 1) g
        union all select s.job_id, 'scheduled' from scheduled s
        union all select r.job_id, 'running' from running r
        union all select f.job_id, 'results' from results f
    ), crowded as (
        select id, string_agg(place, ', ' order by place) as places from members group by id having count(*) > 1
    )
    select 'a job is in at most one of ready, scheduled, running and results', c.id, c.places from crowded c
    union all
    select 'a job is in at least one of ready, scheduled, running and results', j.id, null
    from jobs j where not exists (select from members m where m.id = j.id)
    union all
    select 'a job that is somewhere is in jobs', m.id, m.place
    from members m where not exists (select from jobs j where j.id = m.id)
    union all
    select 'a row of ready says queue, priority and kind of its jobs', j.id, format('%s/%s/%s', r.queue, r.priority, r.kind)
    from (select r.*, r.job_id + g as id from ready r, generate_series(0, r.size - 1) g) r
    join jobs j on j.id = r.id
    where (r.queue, r.priority, r.kind) is distinct from (j.queue, j.priority, j.kind)
    union all
    select 'a row of scheduled, running or results says the queue of its job', j.id, m.queue
    from (select s.job_id, s.queue from scheduled s union all select r.job_id, r.queue from running r
          union all select f.job_id, f.queue from results f) m
    join jobs j on j.id = m.job_id
    where m.queue <> j.queue
    union all
    select 'a failed job had no attempts left or was failed for good', f.job_id, null
    from results f where f.state = 'failed' and f.attempt < 1
    union all
    select 'a lease belongs to a registered worker', r.job_id, r.worker_id::text
    from running r
    where not exists (select from workers w where w.id = r.worker_id)
    union all
    select 'an entry of expiries belongs to a job with that time to live', e.job_id, e.expires_at::text
    from expiries e
    where not exists (select from jobs j where j.id = e.job_id and (j.expires_at is null or j.expires_at = e.expires_at))
    union all
    select 'progress and logs belong to jobs', p.job_id, null
    from (select p.job_id from progress p union select l.job_id from logs l) p
    where not exists (select from jobs j where j.id = p.job_id)
    union all
    select 'the sequence of ids is ahead of every id and seq', max(m.n), null
    from (select max(id) as n from jobs union all select max(seq + size - 1) from ready) m
    having max(m.n) > (select coalesce(pg_sequence_last_value('jobs_id_seq'), 0))
    union all
    select 'the settings of queue "*" are there', null, null
    where not exists (select from queues q where q.name = '*')
$$;
comment on function check_invariants is 'Every broken invariant.';
