-- consumer_states: one row per consumer of events: where it is, how far behind, and whether all is well. behind is counted among the first
-- 10,000 events that it might not have read; exact is false when there are more. A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view consumer_states as
select c.name,
       case when c.failures > 0 then 'failing' when c.leased_until > statement_timestamp() then 'reading'
            when b.behind > 0 then 'behind' else 'idle' end as state,
       c.queues,
       c.types,
       b.behind,
       b.exact,
       statement_timestamp() - b.oldest_at as lag,
       b.position_id,
       c.handled,
       c.skipped,
       c.failures,
       c.error,
       c.retry_at,
       c.leased_by,
       c.leased_until,
       c.keep,
       c.read_at,
       c.lost_at,
       c.created_at,
       c.updated_at
from consumers c
cross join lateral consumer_lag(c.name) b;
comment on view consumer_states is 'One row per consumer of events: where it is and how far behind.';
comment on column consumer_states.name is 'The consumer.';
comment on column consumer_states.state is 'idle (has read all), behind, reading (a batch is leased), failing (a handler fails; it tries again).';
comment on column consumer_states.queues is 'Events of which queues it wants; null: of all.';
comment on column consumer_states.types is 'Which types it wants; null: all.';
comment on column consumer_states.behind is 'How many events it has yet to read, counted among 10,000.';
comment on column consumer_states.exact is 'Whether there are no more than those.';
comment on column consumer_states.lag is 'How old the oldest of them is.';
comment on column consumer_states.position_id is 'It is at this id; events of transactions that committed late may lie below it.';
comment on column consumer_states.handled is 'How many events it has taken.';
comment on column consumer_states.skipped is 'How many it gave up after failures.';
comment on column consumer_states.failures is 'How often the next event has failed in a row.';
comment on column consumer_states.error is 'Why it failed last.';
comment on column consumer_states.retry_at is 'When it is tried again.';
comment on column consumer_states.leased_by is 'Who has the batch.';
comment on column consumer_states.leased_until is 'Until when.';
comment on column consumer_states.keep is 'For how long unread events are kept for it.';
comment on column consumer_states.read_at is 'When a batch was last taken; null: never.';
comment on column consumer_states.lost_at is 'When unread events were last deleted since they were older than keep; null: never.';
comment on column consumer_states.created_at is 'When it was created.';
comment on column consumer_states.updated_at is 'When it was last set or put back.';
