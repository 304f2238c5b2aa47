-- job_states: one row per job with its state: waiting, scheduled, ready, running, or how it ended (completed, failed,
-- cancelled, skipped, expired). A stable contract for SELECT; by id it costs a handful of index look-ups.
-- attempt counts the attempts so far, the running one included. Locks nothing.
-- roles: operator, reader
create view job_states as
select j.id,
       j.queue,
       j.kind,
       j.priority,
       case
           when f.job_id is not null then f.state
           when r.job_id is not null then 'running'
           when s.job_id is not null then 'scheduled'
           when a.job_id is not null or n.job_id is not null then 'ready'
           when w.job_id is not null then 'waiting'
           else 'lost'
       end as state,
       coalesce(f.attempt, r.attempt, s.attempt, a.attempt, w.attempt, 0) as attempt,
       j.max_attempts,
       j.created_at,
       s.run_at,
       coalesce(f.claimed_at, r.claimed_at) as claimed_at,
       f.finished_at,
       coalesce(f.worker_id, r.worker_id) as worker_id,
       r.cancel_requested_at,
       j.expires_at,
       j.timeout,
       j.tags,
       j.metadata,
       f.error,
       j.dag_id,
       j.name,
       j.group_name
from jobs j
left join results f on f.job_id = j.id
left join running r on r.job_id = j.id
left join scheduled s on s.job_id = j.id
left join ready a on a.job_id = j.id and a.seq <> a.job_id
left join waiting w on w.job_id = j.id
left join lateral (
    select run.job_id, run.size
    from ready run
    where run.queue = j.queue and run.priority = j.priority and run.seq <= j.id
    order by run.seq desc
    limit 1) n on n.job_id <= j.id and j.id < n.job_id + n.size;
comment on view job_states is 'One row per job with its state.';
comment on column job_states.id is 'The job.';
comment on column job_states.queue is 'Where it waits or waited.';
comment on column job_states.kind is 'Which handler is to do it; of a DAG its name.';
comment on column job_states.priority is '0 (soonest) to 9.';
comment on column job_states.state is 'waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired.';
comment on column job_states.attempt is 'Attempts so far, the running one included.';
comment on column job_states.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column job_states.created_at is 'When it was enqueued.';
comment on column job_states.run_at is 'When a scheduled job becomes ready.';
comment on column job_states.claimed_at is 'When a worker claimed it last.';
comment on column job_states.finished_at is 'When it ended.';
comment on column job_states.worker_id is 'The worker that has it or had it last.';
comment on column job_states.cancel_requested_at is 'When somebody asked to cancel it while it runs.';
comment on column job_states.expires_at is 'When it expires unless it was started; the deadline of a DAG.';
comment on column job_states.timeout is 'For how long an attempt may run; null: as its queue says.';
comment on column job_states.tags is 'Words to find it by.';
comment on column job_states.metadata is 'A JSON object that goes with it.';
comment on column job_states.error is 'Why it did not complete.';
comment on column job_states.dag_id is 'The DAG of which it is a node.';
comment on column job_states.name is 'Its name in that DAG; a path for nodes of sub-DAGs.';
comment on column job_states.group_name is 'The group with which it shares limits and takes turns.';
