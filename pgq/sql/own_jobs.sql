-- own_jobs: the jobs that the caller enqueued, with what was asked and what came of it. For producers, who see no others; by id or
-- newest first ("order by id desc limit 50") it costs a few index look-ups per row: a barrier lets conditions on columns of jobs through, and
-- the view has that order itself, without which PostgreSQL would sort all rows for it. Jobs that owners of the schema enqueued
-- are nobody's. A stable contract for SELECT. Locks nothing.
-- roles: producer, operator
create view own_jobs with (security_barrier) as
select j.id, j.queue, j.kind, j.priority, s.state, s.attempt, j.max_attempts, j.created_at, s.run_at, s.claimed_at, f.finished_at,
       j.expires_at, j.timeout, j.tags, j.metadata, f.error, j.dag_id, j.name,
       j.args, j.codec, j.payload, f.output, f.codec as output_codec, f.payload as output_payload,
       j.group_name
from jobs j
cross join lateral (select state, attempt, run_at, claimed_at from job_states where id = j.id offset 0) s
left join lateral (select error, finished_at, output, codec, payload from results where job_id = j.id offset 0) f on true
where j.enqueued_by = any((select own_producers())::integer[])
order by j.id desc;
comment on view own_jobs is 'The jobs that the caller enqueued.';
comment on column own_jobs.id is 'The job.';
comment on column own_jobs.queue is 'Where it waits or waited.';
comment on column own_jobs.kind is 'Which handler is to do it; of a DAG its name.';
comment on column own_jobs.priority is '0 (soonest) to 9.';
comment on column own_jobs.state is 'waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired.';
comment on column own_jobs.attempt is 'Attempts so far, the running one included.';
comment on column own_jobs.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column own_jobs.created_at is 'When it was enqueued.';
comment on column own_jobs.run_at is 'When a scheduled job becomes ready.';
comment on column own_jobs.claimed_at is 'When a worker claimed it last.';
comment on column own_jobs.finished_at is 'When it ended.';
comment on column own_jobs.expires_at is 'When it expires unless it was started; the deadline of a DAG.';
comment on column own_jobs.timeout is 'For how long an attempt may run; null: as its queue says.';
comment on column own_jobs.tags is 'Words to find it by.';
comment on column own_jobs.metadata is 'A JSON object that goes with it.';
comment on column own_jobs.error is 'Why it did not complete.';
comment on column own_jobs.dag_id is 'The DAG of which it is a node.';
comment on column own_jobs.name is 'Its name in that DAG; a path for nodes of sub-DAGs.';
comment on column own_jobs.args is 'Its input.';
comment on column own_jobs.codec is 'Which codec wrote payload; null: args are JSON.';
comment on column own_jobs.payload is 'Its input in place of args, as a codec wrote it.';
comment on column own_jobs.output is 'The result''s value.';
comment on column own_jobs.output_codec is 'Which codec wrote output_payload; null: output is JSON.';
comment on column own_jobs.output_payload is 'The result''s value in place of output, as a codec wrote it.';
comment on column own_jobs.group_name is 'The group with which it shares limits and takes turns.';
