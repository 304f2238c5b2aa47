-- queue_states: one row per queue that is registered or holds jobs: how much of it waits for what, how old the oldest is, and
-- whether it is paused. A stable contract for SELECT. Large numbers are estimates (exact is false), so that it takes
-- milliseconds at any size; see queue_figures. Locks nothing.
-- roles: operator, reader
create view queue_states as
select * from queue_figures();
comment on view queue_states is 'One row per queue: depth, ages, whether it is paused.';
comment on column queue_states.queue is 'Name of the queue.';
comment on column queue_states.depth is 'Jobs that wait to be started: ready and scheduled. What max_depth limits.';
comment on column queue_states.ready is 'Jobs that may be claimed now.';
comment on column queue_states.scheduled is 'Jobs that wait for a time.';
comment on column queue_states.waiting is 'Jobs that wait for other jobs; an estimate when very many do.';
comment on column queue_states.running is 'Jobs that a worker holds.';
comment on column queue_states.exact is 'False: at least one of the counts is an estimate from a sample.';
comment on column queue_states.oldest_ready_at is 'Since when the oldest ready job has waited to be claimed.';
comment on column queue_states.oldest_ready_age is 'How long the oldest ready job has waited to be claimed; null when none is ready.';
comment on column queue_states.next_run_at is 'The earliest time for which a job is scheduled; in the past: the chores are late.';
comment on column queue_states.paused is 'Whether jobs of the queue are kept from being claimed.';
comment on column queue_states.paused_at is 'Since when it is paused.';
comment on column queue_states.pause_reason is 'Why it is paused.';
comment on column queue_states.max_depth is 'The depth past which enqueue is refused; null: no limit.';
comment on column queue_states.workers is 'Live workers that serve the queue.';
comment on column queue_states.age_every is 'A job counts as one priority sooner for each such time that it has waited; null: only its priority counts.';
comment on column queue_states.paused_by is 'Who paused it.';
