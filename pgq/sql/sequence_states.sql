-- sequence_states: one row per sequence with unfinished jobs. A stable contract for SELECT: by key it costs some look-ups;
-- list_sequences gives all in pages. waiting is counted up to 10,000. Locks nothing.
-- roles: operator, reader
create view sequence_states as
select s.key,
       case
           when s.stopped_at is not null then 'stopped'
           when s.skip_to is not null then 'skipping'
           when s.job_id is null then 'handing over'
           else 'active'
       end as state,
       s.job_id,
       j.kind,
       j.queue,
       j.state as job_state,
       j.error,
       s.stopped_at,
       s.cause_id,
       l.waiting,
       l.waiting < 10000 as exact
from sequences s
left join lateral (select kind, queue, state, error from job_states where id = s.job_id offset 0) j on true
cross join lateral (
    select count(*) as waiting
    from (select from waiting w where w.sequence = s.key order by w.job_id limit 10000) w) l;
comment on view sequence_states is 'One row per sequence with unfinished jobs.';
comment on column sequence_states.key is 'The sequence.';
comment on column sequence_states.state is 'active, stopped (its head failed), skipping (those behind a failed job) or handing over (the next one is looked for).';
comment on column sequence_states.job_id is 'Its head: the job that may run, or has stopped it.';
comment on column sequence_states.kind is 'Which handler is to do that.';
comment on column sequence_states.queue is 'Where that waits or waited.';
comment on column sequence_states.job_state is 'scheduled, ready, running; failed where it has stopped the sequence.';
comment on column sequence_states.error is 'Why it failed.';
comment on column sequence_states.stopped_at is 'When the sequence was stopped.';
comment on column sequence_states.cause_id is 'The failed job for which others are being skipped.';
comment on column sequence_states.waiting is 'How many jobs are in line, counted up to 10,000.';
comment on column sequence_states.exact is 'False: there are more.';
