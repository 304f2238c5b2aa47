-- schedule_states: one row per schedule. A stable contract for SELECT. Locks nothing.
-- state: active, paused, or ended (it is not due any more); kind: of its jobs, or the name of its DAGs. last_state is that of
-- the job that it enqueued last, null when that has been deleted.
-- job and dag are null for readers who were not granted payloads.
-- roles: operator, reader
create view schedule_states as
select s.name,
       case when s.paused_at is not null then 'paused' when s.next_at is null and s.queued_at is null then 'ended' else 'active' end as state,
       s.spec,
       s.zone,
       coalesce(s.job ->> 'kind', s.dag ->> 'name') as kind,
       s.dag is not null as is_dag,
       s.next_at,
       s.fire_at,
       s.queued_at,
       s.last_due_at,
       s.last_fired_at,
       s.last_job_id,
       j.state as last_state,
       s.runs,
       s.error,
       s.jitter,
       s.starts_at,
       s.ends_at,
       s.max_runs,
       s.missed,
       s.missed_limit,
       s.overlap,
       s.declared_by,
       s.paused_at,
       s.paused_by,
       s.pause_reason,
       s.created_at,
       s.updated_at,
       case when (select sees_payloads()) then s.job end as job,
       case when (select sees_payloads()) then s.dag end as dag
from schedules s
left join lateral (select state from job_states where id = s.last_job_id offset 0) j on true;
comment on view schedule_states is 'One row per schedule.';
comment on column schedule_states.name is 'Name of the schedule.';
comment on column schedule_states.state is 'active, paused, or ended: it is not due any more.';
comment on column schedule_states.spec is 'When it is due: a cron expression, "every ..." or "at ...".';
comment on column schedule_states.zone is 'The time zone whose clocks count.';
comment on column schedule_states.kind is 'Kind of its jobs, or name of its DAGs.';
comment on column schedule_states.is_dag is 'Whether it submits DAGs.';
comment on column schedule_states.next_at is 'When it is due next; null: never again.';
comment on column schedule_states.fire_at is 'When the chores look at it next: later than it is due by its jitter; null: it is paused or has ended.';
comment on column schedule_states.queued_at is 'The time that waits for an earlier run to end.';
comment on column schedule_states.last_due_at is 'The last time that fired.';
comment on column schedule_states.last_fired_at is 'When it last enqueued something, by hand included.';
comment on column schedule_states.last_job_id is 'What it last enqueued.';
comment on column schedule_states.last_state is 'State of that job; null when it is not kept any more.';
comment on column schedule_states.runs is 'How many of its times have fired.';
comment on column schedule_states.error is 'Why the last time did not fire; null if it did.';
comment on column schedule_states.jitter is 'It fires up to this much later.';
comment on column schedule_states.starts_at is 'It is not due before.';
comment on column schedule_states.ends_at is 'It is not due after.';
comment on column schedule_states.max_runs is 'After so many runs it has ended.';
comment on column schedule_states.missed is 'What becomes of missed times: skip, once, all.';
comment on column schedule_states.missed_limit is 'With all, how many of them fire.';
comment on column schedule_states.overlap is 'When an earlier run has not ended: allow, skip, queue, cancel.';
comment on column schedule_states.declared_by is 'Who declares it in code; null: it was made by hand.';
comment on column schedule_states.paused_at is 'Since when it is paused.';
comment on column schedule_states.paused_by is 'Who paused it.';
comment on column schedule_states.pause_reason is 'Why.';
comment on column schedule_states.created_at is 'When it was created.';
comment on column schedule_states.updated_at is 'When it was last changed, paused or resumed.';
comment on column schedule_states.job is 'The job that it enqueues.';
comment on column schedule_states.dag is 'The DAG that it submits.';
