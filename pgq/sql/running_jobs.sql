-- running_jobs: one row per job that a worker holds, with the worker and for how long. A stable contract for SELECT; its
-- cost is that of the jobs that run, not of those that there are. Locks nothing.
-- roles: operator, reader
create view running_jobs as
select r.job_id,
       r.queue,
       j.kind,
       j.priority,
       r.attempt,
       j.max_attempts,
       r.worker_id,
       w.name as worker,
       coalesce(w.dead_at is null and w.heartbeat_at > statement_timestamp() - w.lease, false) as worker_alive,
       r.claimed_at,
       statement_timestamp() - r.claimed_at as duration,
       j.timeout,
       r.cancel_requested_at,
       p.done as progress_done,
       p.total as progress_total,
       j.dag_id,
       j.name,
       j.tags
from running r
-- "offset 0": the planner would walk all jobs where it takes those that run for many.
cross join lateral (select * from jobs where id = r.job_id offset 0) j
left join lateral (select * from progress g where g.job_id = r.job_id and g.attempt = r.attempt offset 0) p on true
left join workers w on w.id = r.worker_id;
comment on view running_jobs is 'One row per job that a worker holds.';
comment on column running_jobs.job_id is 'The job.';
comment on column running_jobs.queue is 'Its queue.';
comment on column running_jobs.kind is 'Its kind: which handler runs.';
comment on column running_jobs.priority is 'Its priority, 0 (soonest) to 9.';
comment on column running_jobs.attempt is 'Which attempt this is, from 1.';
comment on column running_jobs.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column running_jobs.worker_id is 'The worker that holds it.';
comment on column running_jobs.worker is 'Name of the worker.';
comment on column running_jobs.worker_alive is 'False: the worker has not been heard of for its lease, and the attempt is about to end.';
comment on column running_jobs.claimed_at is 'When the worker claimed it.';
comment on column running_jobs.duration is 'For how long the worker has held it.';
comment on column running_jobs.timeout is 'After which time the handler is stopped; null: that of its queue, or none.';
comment on column running_jobs.cancel_requested_at is 'When somebody asked to cancel it.';
comment on column running_jobs.progress_done is 'How far it is, as its handler reported.';
comment on column running_jobs.progress_total is 'Of how much.';
comment on column running_jobs.dag_id is 'The DAG of which it is a node.';
comment on column running_jobs.name is 'Its name in that DAG.';
comment on column running_jobs.tags is 'Its tags.';
