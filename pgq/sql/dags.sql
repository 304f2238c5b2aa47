-- dags: one row per DAG. A stable contract for SELECT; by id, or the latest ("order by id desc limit 50"), of a
-- name too, it costs a few index look-ups per row. Locks nothing.
-- state: running until it has ended, held while it is held (dag_hold), else how it ended: completed, failed, cancelled,
-- expired, skipped. A DAG has no worker, so whether anything of it runs at the moment is said by dag_progress.
-- error and cause_id say why it has failed: cause_id is the job that failed first.
-- roles: operator, reader
create view dags as
select d.id,
       d.kind as name,
       d.spec ->> 'key' as key,
       d.queue,
       d.priority,
       case
           when f.job_id is not null then f.state
           when w.held then 'held'
           when w.job_id is not null then 'running'
           else 'lost'
       end as state,
       coalesce(w.held, false) as held,
       d.created_at,
       f.finished_at,
       d.expires_at as deadline,
       coalesce(d.spec ->> 'on_failure', 'continue') as on_failure,
       d.spec ->> 'output' as output,
       (d.spec ->> 'forked_from')::bigint as forked_from,
       d.tags,
       d.metadata,
       f.error,
       f.cause_id
from jobs d
left join results f on f.job_id = d.id
left join waiting w on w.job_id = d.id
where d.role = 'dag'
  and d.dag_id is null;
comment on view dags is 'One row per DAG.';
comment on column dags.id is 'The DAG.';
comment on column dags.name is 'Its name.';
comment on column dags.key is 'The key that made its submission idempotent.';
comment on column dags.queue is 'The queue of its nodes that name no other.';
comment on column dags.priority is 'The priority of its nodes that have no other.';
comment on column dags.state is 'running, held, completed, failed, cancelled, expired or skipped.';
comment on column dags.held is 'Whether an operator holds it.';
comment on column dags.created_at is 'When it was submitted.';
comment on column dags.finished_at is 'When it ended.';
comment on column dags.deadline is 'When it expires unless it has ended.';
comment on column dags.on_failure is 'What a failure does: continue or cancel the rest.';
comment on column dags.output is 'The node whose result is that of the DAG.';
comment on column dags.forked_from is 'The DAG of which it is a fork.';
comment on column dags.tags is 'Words to find it by.';
comment on column dags.metadata is 'A JSON object that goes with it.';
comment on column dags.error is 'Why it failed.';
comment on column dags.cause_id is 'The job that failed first.';
