-- doctor_work(old_job, late_chores, frontier_rows): leases of workers that are gone, chores that nobody does, queues on which nothing
-- moves, the ten sequences that have stood still for longest, kinds that nobody knows. Looks at the heads of the queues only. Internal: doctor.
create function doctor_work(old_job interval, late_chores interval, frontier_rows integer)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
set jit = off set enable_seqscan = off
as $$
    with heads as (
        select q.name as queue, s.name is not null and s.paused_at is not null as paused, h.id, h.since,
               (select count(*) from workers w
                where w.dead_at is null and w.heartbeat_at > clock_timestamp() - w.lease and q.name = any(w.queues)) as workers
        from queue_names() q(name)
        left join queues s on s.name = q.name
        cross join lateral (
            -- By the place in the queue, not by age: a job that was retried is at the end.
            select j.id, j.created_at as since
            from generate_series(0, 9) p
            cross join lateral (select r.job_id from ready r where r.queue = q.name and r.priority = p order by r.seq limit 1) r
            join jobs j on j.id = r.job_id
            order by j.created_at limit 1) h
    ), chores_at as (
        select max(last_run_at) as last from chores where name in ('rescue', 'round')
    ), work as (
        select exists (select from ready) or exists (select from scheduled) or exists (select from running) or exists (select from frontier) as any
    )
    select 'expired_leases', 'warning', format('worker %s', w.id),
           format('%s jobs are leased to worker %s, which was heard of last %s ago%s: they run again once somebody does the chores.',
                  n.jobs, w.name, date_trunc('second', clock_timestamp() - w.heartbeat_at), case when w.dead_at is null then '' else ' and is dead' end),
           format('start a worker, or: select %I.rescue();', current_schema())
    from workers w
    cross join lateral (select count(*) as jobs from running r where r.worker_id = w.id) n
    where n.jobs > 0 and (w.dead_at is not null or w.heartbeat_at < clock_timestamp() - w.lease - interval '2 seconds')
    union all
    select 'leases_of_nobody', 'critical', format('worker %s', r.worker_id),
           format('%s jobs are leased to worker %s, which is not registered: they never run again by themselves.', count(*), r.worker_id),
           format('insert into %1$I.workers (id, name, queues, kinds, lease, dead_at) overriding system value values (%2$s, ''lost'', ''{}'', ''{}'', ''30 s'', now()); select %1$I.rescue();',
                  current_schema(), r.worker_id)
    from running r
    where not exists (select from workers w where w.id = r.worker_id)
    group by r.worker_id
    union all
    select 'chores_late', 'warning', 'chores',
           format('Nobody has done the chores %s: nothing delayed starts, no lease expires, nothing is pruned.',
                  case when c.last = '-infinity' then 'so far' else 'for ' || date_trunc('second', clock_timestamp() - c.last) end),
           format('start a worker, or let cron do it: select %I.do_chores();', current_schema())
    from chores_at c, work
    where c.last < clock_timestamp() - late_chores and work.any
    union all
    select 'due_jobs_late', 'warning', format('job %s', d.job_id),
           format('It was due %s ago and is still scheduled: the chores are not done, or do not keep up.', date_trunc('second', clock_timestamp() - d.run_at)),
           format('select %I.promote();', current_schema())
    from (select job_id, run_at from scheduled order by run_at limit 1) d
    where d.run_at < clock_timestamp() - late_chores
    union all
    select 'frontier_backlog', 'warning', 'frontier',
           format('%s ranges of nodes have yet to hear that their parents have ended (counted up to 10,000): DAGs go on late.', f.n),
           format('start a worker, or: select %I.propagate_frontier(); until it returns 0', current_schema())
    from (select count(*) as n from (select from frontier limit 10000) f) f
    where f.n > frontier_rows
    union all
    select 'no_worker', 'warning', 'queue ' || h.queue, 'It has jobs that may be claimed, and no living worker serves it.',
           format('start a worker with this queue, or move the jobs to one that has a worker: pgq-admin job move QUEUE --queue %s',
                  case when h.queue ~ '^[A-Za-z0-9_./-]+$' then h.queue else '''' || replace(h.queue, '''', '''\''''''') || '''' end)
    from heads h
    where h.workers = 0 and not h.paused
    union all
    select 'old_job', 'warning', 'queue ' || h.queue,
           format('Job %s has been there for %s and may be claimed%s.', h.id, date_trunc('second', clock_timestamp() - h.since),
                  case when h.paused then ', but the queue is paused' when h.workers = 0 then ', but no worker serves the queue'
                       else ': the workers do not keep up with what has higher priority or came before' end),
           case when h.paused then format('select %I.resume_queue(%L);', current_schema(), h.queue)
                else 'more workers, more concurrency, or see: pgq-admin job explain ' || h.id end
    from heads h
    where h.since < clock_timestamp() - old_job
    union all
    select 'sequence_stopped', 'warning', 'sequence ' || s.key,
           format('Job %s of it failed at %s; those behind it wait until that is retried and completes, or the sequence goes on without it.',
                  s.job_id, to_char(s.stopped_at, 'YYYY-MM-DD HH24:MI:SS TZ')),
           format('select %1$I.retry(''{%2$s}''); or, without that job: select %1$I.resume_sequence(%3$L);', current_schema(), s.job_id, s.key)
    from (select * from sequences where stopped_at is not null order by stopped_at limit 10) s
    union all
    select 'queue_paused', 'info', 'queue ' || q.name,
           format('It has been paused since %s%s%s; nothing of it is claimed.', to_char(q.paused_at, 'YYYY-MM-DD HH24:MI:SS TZ'), ' by ' || q.paused_by, ': ' || q.pause_reason),
           format('select %I.resume_queue(%L);', current_schema(), q.name)
    from queues q where q.paused_at is not null
    union all
    select 'unknown_kind', 'warning', format('kind %s of queue %s', u.kind, u.queue),
           'Jobs of this kind stay ready: no living worker of the queue knows it. The name is wrong, or a deployment is missing.',
           format('deploy a worker that handles it, or cancel them: select %1$I.cancel(array(select id from %1$I.job_states where queue = %2$L and kind = %3$L and state = ''ready'' limit 10000));',
                  current_schema(), u.queue, u.kind)
    from unknown_kinds(array(select h.queue from heads h where h.workers > 0)) u
$$;
comment on function doctor_work is 'Findings on leases, chores and queues.';
