-- dags: one row per DAG. A stable contract for SELECT; by id, or the latest of a name ("where name = … order by id desc
-- limit 50"), it costs a few index look-ups per row. Locks nothing.
-- state: running until it has ended, held while it is held (dag_hold), else how it ended: completed, failed, cancelled,
-- expired, skipped. A DAG has no worker, so whether anything of it runs at the moment is said by dag_progress.
-- error and cause_id say why it has failed: cause_id is the job that failed first.
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
