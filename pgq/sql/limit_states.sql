-- limit_states: queues, kinds and groups that have a limit, a pause, or jobs that wait for their turn, with how much of it is in use. limit_name:
-- the limit that holds for it, null: none does. waiting counts up to 10,000 jobs, fewer where groups are many; those of a queue that are
-- ready are not among them.
-- A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view limit_states as
select scope, name, limit_name, max_running, running, rate, period, burst, tokens, weight, waiting, paused_until, pause_reason,
       break_after, break_within, break_for, breaker, failures, probe_at, probe_id
from list_limits();
comment on view limit_states is 'What limits there are and how much of them is in use.';
comment on column limit_states.scope is 'What is limited: queue, kind or group.';
comment on column limit_states.name is 'Which one.';
comment on column limit_states.limit_name is 'The limit that holds for it; null: none does.';
comment on column limit_states.max_running is 'How many of its jobs may run at a time.';
comment on column limit_states.running is 'How many run, where that is limited; of a queue always.';
comment on column limit_states.rate is 'How many may start per period.';
comment on column limit_states.period is 'In what time.';
comment on column limit_states.burst is 'How many at once after a rest; null: as many as rate says.';
comment on column limit_states.tokens is 'How many may start now.';
comment on column limit_states.weight is 'How many turns the group gets where others get one.';
comment on column limit_states.waiting is 'How many jobs wait for their turn, counted up to 10,000.';
comment on column limit_states.paused_until is 'Until when none starts.';
comment on column limit_states.pause_reason is 'Why.';
comment on column limit_states.break_after is 'How many attempts have to fail for its circuit breaker to open.';
comment on column limit_states.break_within is 'In what time.';
comment on column limit_states.break_for is 'For how long none starts then, until a probe.';
comment on column limit_states.breaker is 'How its circuit breaker stands: closed, open or half_open; null: it has none.';
comment on column limit_states.failures is 'How many attempts failed in the time that the circuit breaker looks at.';
comment on column limit_states.probe_at is 'From when a probe may run, if it is not closed.';
comment on column limit_states.probe_id is 'The job that is the probe.';
