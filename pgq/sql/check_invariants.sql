-- check_invariants(): every broken invariant, in one snapshot; no rows when all is well. Reads whole tables.
-- Stands in for the foreign keys that the hot path does without.
-- roles: operator
create function check_invariants() returns table (rule text, job_id bigint, detail text)
language sql stable security definer set search_path from current set jit = off
as $$
    with members as materialized (
        select r.job_id + g as id, 'ready' as place from ready r, generate_series(0, r.size - 1) g
        union all select w.job_id, 'waiting' from waiting w
        union all select s.job_id, 'scheduled' from scheduled s
        union all select r.job_id, 'running' from running r
        union all select f.job_id, 'results' from results f
    ), crowded as (
        select id, string_agg(place, ', ' order by place) as places from members group by id having count(*) > 1
    )
    select 'a job is in at most one of waiting, ready, scheduled, running and results', c.id, c.places from crowded c
    union all
    select 'a job is in at least one of waiting, ready, scheduled, running and results', j.id, null
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
    select 'a row of waiting, scheduled, running or results says the queue of its job', j.id, m.queue
    from (select s.job_id, s.queue from scheduled s union all select w.job_id, w.queue from waiting w union all select r.job_id, r.queue from running r
          union all select f.job_id, f.queue from results f) m
    join jobs j on j.id = m.job_id
    where m.queue <> j.queue
    union all
    select 'a failed job had no attempts left or was failed for good', f.job_id, null
    from results f join jobs j on j.id = f.job_id
    where f.state = 'failed' and f.attempt < 1 and j.role is null
    union all
    select 'the job for which a unique key stands has that key', u.job_id, u.key
    from unique_keys u join jobs j on j.id = u.job_id
    where j.unique_key is distinct from u.key
    union all
    select 'a job in line is of that sequence, which is under way', w.job_id, w.sequence
    from waiting w join jobs j on j.id = w.job_id
    where w.sequence is not null
      and (j.sequence is distinct from w.sequence or not exists (select from sequences s where s.key = w.sequence))
    union all
    select 'an unfinished job of a sequence is its head or in line', m.id, j.sequence
    from jobs j join members m on m.id = j.id
    where j.sequence is not null and m.place <> 'results'
      and not exists (select from waiting w where w.job_id = j.id and w.sequence is not null)
      and not exists (select from sequences s where s.key = j.sequence and s.job_id = j.id)
    union all
    select 'the head of a sequence is of that, and unfinished unless it has stopped it', s.job_id, s.key
    from sequences s left join jobs j on j.id = s.job_id left join results f on f.job_id = s.job_id
    where s.job_id is not null
      and (j.sequence is distinct from s.key or (f.job_id is not null) <> (s.stopped_at is not null)
           or s.stopped_at is not null and f.state <> 'failed'
           or exists (select from waiting w where w.job_id = s.job_id and w.sequence is not null))
    union all
    select 'a lease belongs to a registered worker', r.job_id, r.worker_id::text
    from running r
    where not exists (select from workers w where w.id = r.worker_id)
    union all
    select 'an entry of expiries belongs to a job with that time to live', e.job_id, e.expires_at::text
    from expiries e
    where not exists (select from jobs j where j.id = e.job_id and (j.expires_at is null or j.expires_at = e.expires_at or j.role = 'dag'))
    union all
    select 'progress, logs, steps and errors belong to jobs', p.job_id, null
    from (select p.job_id from progress p union select l.job_id from logs l union select s.job_id from steps s
          union select e.job_id from attempt_errors e) p
    where not exists (select from jobs j where j.id = p.job_id)
    union all
    select 'the sequence of ids is ahead of every id and seq', max(m.n), null
    from (select max(id) as n from jobs union all select max(seq + size - 1) from ready) m
    having max(m.n) > (select coalesce(pg_sequence_last_value('jobs_id_seq'), 0))
    union all
    select 'a completed job that a handler runs had an attempt', f.job_id, null
    from results f join jobs j on j.id = f.job_id
    where f.state = 'completed' and f.attempt < 1 and j.role is null and j.dag_id is null
    union all
    select 'a waiting job has as many pending parents as the edges say', w.job_id,
           format('%s pending, but %s', w.pending, coalesce(n.pending, 0))
    from waiting w
    left join maps m on m.job_id = w.job_id
    left join lateral (
        -- Without a join, which could read all results for each of these jobs while nothing is known of the tables.
        select count(*) filter (
                   where not exists (select from results f where f.job_id = e.parent_id)
                      or exists (select from frontier u where u.parent_id = e.parent_id
                                 and e.child_id between u.first_child and u.last_child)) as pending
        from edges e
        where e.child_id = w.job_id and (w.role is distinct from 'items' or is_item(e.parent_id, w.job_id))) n on true
    where w.pending <> case
        when w.role in ('signal', 'turn') or w.sequence is not null then 1
        when w.role = 'items' then n.pending + m.total - m.expanded
        when exists (select from jobs j where j.id = w.job_id and j.spec ? 'map') then least(w.pending, 1)
        else n.pending end
    union all
    select 'a job that waits for its turn is there with its group, kind and priority', w.job_id, format('%s/%s/%s', w.group_name, w.kind, w.priority)
    from waiting w join jobs j on j.id = w.job_id
    where w.role = 'turn' and (w.group_name, w.kind, w.priority) is distinct from (coalesce(j.group_name, ''), j.kind, j.priority)
    union all
    select 'an attempt that counts for a limit has a slot, and a slot such an attempt', coalesce(r.job_id, s.job_id), coalesce(s.group_name, 'no slot')
    from (select * from running where slotted) r full join slots s on s.job_id = r.job_id and s.attempt = r.attempt
    where r.job_id is null or s.job_id is null
    union all
    select 'a group that is parked has no room, or somebody says that it may have some', null, b.group_name
    from (select distinct b.group_name from backlogs b where b.emptied_at is null and b.parked_until > clock_timestamp() + interval '2 s') b
    left join lateral limit_of(b.group_name) l on true
    left join gates g on g.scope = 'group' and g.name = b.group_name
    where coalesce(l.max_running > (select count(*) from slots s where s.group_name = b.group_name), true)
      and coalesce(tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, clock_timestamp()) >= 1, true)
      and coalesce(gate_room(g.paused_until, g.opened_at, g.probe_at, g.probe_id, clock_timestamp()) > 0, true)
      and not exists (
          select from vacancies v
          where v.group_name = b.group_name or right(v.group_name, 1) = '*' and starts_with(b.group_name, rtrim(v.group_name, '*')))
    union all
    select 'a waiting job that can be decided is decided', w.job_id, null
    from waiting w
    where node_verdict(w.pending, w.ok, w.failed, w.skipped, w.need_ok, w.need_failed, w.max_failed, w.max_skipped,
                       w.eager, w.held and coalesce(w.role, '') not in ('dag', 'items')) is not null
    union all
    select 'nothing of a DAG that has ended is alive', m.id, s.place
    from results f
    join jobs d on d.id = f.job_id and d.role = 'dag'
    join jobs m on m.dag_id = d.id
    join members s on s.id = m.id and s.place <> 'results'
    union all
    select 'the results of nodes and leases on them name their DAG', j.id, null
    from (select f.job_id, f.dag_id from results f union all select r.job_id, r.dag_id from running r) f
    join jobs j on j.id = f.job_id
    where f.dag_id is distinct from j.dag_id
    union all
    select 'an edge joins two jobs', e.child_id, e.parent_id::text
    from edges e
    where not exists (select from jobs j where j.id = e.parent_id) or not exists (select from jobs j where j.id = e.child_id)
    union all
    select 'the frontier holds finished jobs and maps', u.parent_id, null
    from frontier u
    where not exists (select from results f where f.job_id = u.parent_id)
      and not exists (select from maps m where m.job_id = u.parent_id)
    union all
    select 'a schedule under way is due at a time and fires then', null, s.name
    from schedules s
    where s.paused_at is null
      and ((s.next_at is null and s.ends_at is null and s.once_at is null and (s.max_runs is null or s.runs < s.max_runs))
        or (s.fire_at is null) <> (s.next_at is null and s.queued_at is null)
        or s.fire_at < s.next_at and s.queued_at is null)
    union all
    select 'a schedule is due within its bounds', null, s.name
    from schedules s
    where s.next_at < s.starts_at or s.next_at > s.ends_at or s.runs > s.max_runs or (s.runs >= s.max_runs and s.next_at is not null)
    union all
    select 'a time that waits is of a schedule that queues one', null, s.name
    from schedules s
    where s.queued_at is not null and s.overlap <> 'queue'
    union all
    select 'runs of schedules are of schedules', r.job_id, r.schedule
    from schedule_runs r
    where not exists (select from schedules s where s.name = r.schedule)
    union all
    select 'the settings of queue "*" are there', null, null
    where not exists (select from queues q where q.name = '*')
$$;
comment on function check_invariants is 'Every broken invariant.';
