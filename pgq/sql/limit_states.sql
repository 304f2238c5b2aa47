-- limit_states: queues, kinds and groups that have a limit, a pause, or jobs that wait for their turn or did a moment ago, with how much of it is in use. limit_name:
-- the limit that holds for it, null: none does. waiting counts up to 10,000 jobs, fewer (100 at least) where groups are many; exact is false when there are more.
-- Those of a queue that are ready are not among them.
-- A stable contract for SELECT: each row costs some look-ups; ask by scope and name. list_limits gives all in pages. Locks nothing.
-- roles: operator, reader
create view limit_states as
with recursive queues as (
    -- those in which jobs wait for their turn, from one to the next along an index
    (select b.queue from backlogs b order by b.queue limit 1)
    union all
    select n.*
    from queues q
    cross join lateral (select b.queue from backlogs b where b.queue > q.queue order by b.queue limit 1) n
), counted as materialized (
    select greatest(100, least(10000, 500000 / greatest(1, count(*))))::integer as most from (select from backlogs limit 5000) b
)
select n.scope, n.name, s.limit_name, s.max_running, s.running, s.rate, s.period, s.burst, s.tokens, s.weight, s.waiting, s.paused_until, s.pause_reason,
       s.break_after, s.break_within, s.break_for, s.breaker, s.failures, s.probe_at, s.probe_id, s.state, s.exact, s.paused_by
from (
    select l.scope, l.name from limits l where l.scope <> 'group' or right(l.name, 1) <> '*'
    union
    select g.scope, g.name from gates g
    where g.paused_until > statement_timestamp() or g.scope = 'group' and exists (
        select from limits l where l.scope = 'group' and (l.name = g.name or right(l.name, 1) = '*' and starts_with(g.name, rtrim(l.name, '*'))))
    union
    select 'group', b.group_name from queues q join backlogs b on b.queue = q.queue where b.group_name <> ''
    union
    select 'group', s.group_name from slots s where s.group_name <> ''
    order by scope, name) n
cross join lateral limit_state(n.scope, n.name, (select most from counted)) s;
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
comment on column limit_states.waiting is 'How many jobs wait for their turn, counted up to 10,000, or fewer where groups are many.';
comment on column limit_states.paused_until is 'Until when none starts.';
comment on column limit_states.pause_reason is 'Why.';
comment on column limit_states.break_after is 'How many attempts have to fail for its circuit breaker to open.';
comment on column limit_states.break_within is 'In what time.';
comment on column limit_states.break_for is 'For how long none starts then, until a probe.';
comment on column limit_states.breaker is 'How its circuit breaker stands: closed, open or half_open; null: it has none.';
comment on column limit_states.failures is 'How many attempts failed in the time that the circuit breaker looks at.';
comment on column limit_states.probe_at is 'From when a probe may run, if it is not closed.';
comment on column limit_states.probe_id is 'The job that is the probe.';
comment on column limit_states.state is 'free, or why no other job may start now: paused, broken (its circuit breaker is not closed), full.';
comment on column limit_states.exact is 'Whether no more jobs wait.';
comment on column limit_states.paused_by is 'Who paused it.';
