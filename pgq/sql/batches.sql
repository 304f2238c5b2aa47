-- batches: one row per batch, with how far it is. A stable contract for SELECT; by id, or the latest ("order by id desc limit 50"), it costs a few index
-- look-ups per row, however many jobs a batch has, and of one that has ended a look at each of its jobs. Locks nothing.
-- state: running until it has ended, held while it is held, else how it ended: completed, failed, cancelled, expired. It ends when its jobs and
-- callbacks have. The counts may be behind by as much as the chores are, a second mostly.
-- roles: operator, reader
create view batches as
select d.id,
       d.kind as name,
       d.spec ->> 'key' as key,
       d.queue,
       case when f.job_id is not null then f.state when w.held then 'held' else 'running' end as state,
       e.job_id is null and f.job_id is null as open,
       n.total,
       n.done,
       n.failed,
       case when n.total > 0 then round(100.0 * n.done / n.total, 1) end as percent,
       d.created_at,
       f.finished_at,
       d.expires_at as deadline,
       d.tags,
       d.metadata,
       f.error,
       f.cause_id
from jobs c -- of jobs_batches, which holds nothing else
join jobs d on d.id = c.dag_id
left join results e on e.job_id = c.id
cross join lateral (select j.id from jobs j where j.dag_id = d.id and j.name = 'jobs' offset 0) s
left join results f on f.job_id = d.id
left join waiting w on w.job_id = d.id
left join waiting t on t.job_id = s.id
cross join lateral (
    select count(*) as total, count(*) filter (where r.state <> 'completed') as failed
    from edges p
    cross join lateral (select state from results where results.job_id = p.parent_id offset 0) r
    where t.job_id is null and p.child_id = s.id and p.parent_id <> c.id) x
cross join lateral (
    select case when t.job_id is null then x.total else t.pending + t.ok + t.failed + t.skipped - 1 end as total,
           case when t.job_id is null then x.total
                else greatest(t.ok + t.failed + t.skipped - (e.job_id is not null)::integer, 0) end as done,
           case when t.job_id is null then x.failed
                else greatest(t.failed - coalesce(e.state <> 'completed', false)::integer, 0) end as failed) n
where c.name = 'jobs/close'
  and c.role = 'external'
  and d.role = 'dag'
  and d.dag_id is null;
comment on view batches is 'One row per batch.';
comment on column batches.id is 'The batch, and the DAG that it is.';
comment on column batches.name is 'Its name.';
comment on column batches.key is 'The key that made its submission idempotent.';
comment on column batches.queue is 'The queue of its jobs that name no other.';
comment on column batches.state is 'running, held, completed, failed, cancelled or expired.';
comment on column batches.open is 'Whether more jobs can be added.';
comment on column batches.total is 'How many jobs it has; a batch in it counts as one.';
comment on column batches.done is 'How many of them have ended.';
comment on column batches.failed is 'How many of these have not completed.';
comment on column batches.percent is 'done of total; null while it is empty.';
comment on column batches.created_at is 'When it was submitted.';
comment on column batches.finished_at is 'When it ended.';
comment on column batches.deadline is 'When it expires unless it has ended.';
comment on column batches.tags is 'Words to find it by.';
comment on column batches.metadata is 'A JSON object that goes with it.';
comment on column batches.error is 'Why it failed.';
comment on column batches.cause_id is 'The job that failed first.';
