-- job_details: what job_states says, with what was asked (args or payload), what came of it (output or
-- output_payload) and how far it is (progress). Wide: meant for looking at jobs by id.
-- args, payload and output are null for readers who were not granted payloads, but for jobs that they enqueued.
-- roles: operator, reader
create view job_details as
select s.id, s.queue, s.kind, s.priority, s.state, s.attempt, s.max_attempts, s.created_at, s.run_at, s.claimed_at, s.finished_at,
       s.worker_id, s.cancel_requested_at, s.expires_at, s.timeout, s.tags, s.metadata, s.error, s.dag_id, s.name,
       case when v.all_jobs or v.own then j.args end as args,
       j.codec,
       case when v.all_jobs or v.own then j.payload end as payload,
       j.backoff, j.result_ttl,
       case when v.all_jobs or v.own then f.output end as output,
       f.codec as output_codec,
       case when v.all_jobs or v.own then f.payload end as output_payload,
       p.done as progress_done, p.total as progress_total,
       j.sequence, j.on_failure,
       s.group_name
from job_states s
join jobs j on j.id = s.id
left join results f on f.job_id = s.id
left join progress p on p.job_id = s.id
cross join lateral (select (select sees_payloads()) as all_jobs, j.enqueued_by = any((select own_producers())::integer[]) as own) v;
comment on view job_details is 'job_states with args, output and progress.';
comment on column job_details.id is 'The job.';
comment on column job_details.queue is 'Where it waits or waited.';
comment on column job_details.kind is 'Which handler is to do it; of a DAG its name.';
comment on column job_details.priority is '0 (soonest) to 9.';
comment on column job_details.state is 'waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired.';
comment on column job_details.attempt is 'Attempts so far, the running one included.';
comment on column job_details.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column job_details.created_at is 'When it was enqueued.';
comment on column job_details.run_at is 'When a scheduled job becomes ready.';
comment on column job_details.claimed_at is 'When a worker claimed it last.';
comment on column job_details.finished_at is 'When it ended.';
comment on column job_details.worker_id is 'The worker that has it or had it last.';
comment on column job_details.cancel_requested_at is 'When somebody asked to cancel it while it runs.';
comment on column job_details.expires_at is 'When it expires unless it was started; the deadline of a DAG.';
comment on column job_details.timeout is 'For how long an attempt may run; null: as its queue says.';
comment on column job_details.tags is 'Words to find it by.';
comment on column job_details.metadata is 'A JSON object that goes with it.';
comment on column job_details.error is 'Why it did not complete.';
comment on column job_details.dag_id is 'The DAG of which it is a node.';
comment on column job_details.name is 'Its name in that DAG; a path for nodes of sub-DAGs.';
comment on column job_details.args is 'Its input.';
comment on column job_details.codec is 'Which codec wrote payload; null: args are JSON.';
comment on column job_details.payload is 'Its input in place of args, as a codec wrote it.';
comment on column job_details.backoff is 'Pauses between attempts; null: as its kind or queue says.';
comment on column job_details.result_ttl is 'For how long its result is kept; null: as its queue says.';
comment on column job_details.output is 'The result''s value.';
comment on column job_details.output_codec is 'Which codec wrote output_payload; null: output is JSON.';
comment on column job_details.output_payload is 'The result''s value in place of output, as a codec wrote it.';
comment on column job_details.progress_done is 'How far it is, as its handler reported.';
comment on column job_details.progress_total is 'Of how much.';
comment on column job_details.sequence is 'The sequence in which it runs, one after the other.';
comment on column job_details.on_failure is 'What becomes of its sequence if it fails for good: stop (also when null), skip or continue.';
comment on column job_details.group_name is 'The group with which it shares limits and takes turns.';
