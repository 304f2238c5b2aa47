-- worker_states: one row per registered worker: whether it lives, what it serves and how much it holds. A stable contract
-- for SELECT. state: alive; silent (no heartbeat within its lease: about to be declared dead); dead (its jobs are given to
-- others; it registers anew if it still runs). Locks nothing.
-- roles: operator, reader
create view worker_states as
select w.id,
       w.name,
       case
           when w.dead_at is not null then 'dead'
           when w.heartbeat_at > statement_timestamp() - w.lease then 'alive'
           else 'silent'
       end as state,
       w.queues,
       w.kinds,
       w.lease,
       w.started_at,
       w.heartbeat_at,
       statement_timestamp() - w.heartbeat_at as heartbeat_age,
       w.dead_at,
       coalesce(r.jobs, 0) as running,
       r.oldest_claimed_at
from workers w
left join (
    select worker_id, count(*) as jobs, min(claimed_at) as oldest_claimed_at
    from running group by 1) r on r.worker_id = w.id;
comment on view worker_states is 'One row per registered worker.';
comment on column worker_states.id is 'The worker''s id, as in running_jobs.';
comment on column worker_states.name is 'The name that it gave itself.';
comment on column worker_states.state is 'alive, silent (no heartbeat within its lease) or dead.';
comment on column worker_states.queues is 'The queues that it serves.';
comment on column worker_states.kinds is 'The kinds of jobs that it has handlers for.';
comment on column worker_states.lease is 'How long it may be silent before it is declared dead.';
comment on column worker_states.started_at is 'When it registered.';
comment on column worker_states.heartbeat_at is 'When it was last heard of.';
comment on column worker_states.heartbeat_age is 'How long ago that was.';
comment on column worker_states.dead_at is 'When it was declared dead.';
comment on column worker_states.running is 'How many jobs it holds.';
comment on column worker_states.oldest_claimed_at is 'When it claimed the oldest of these.';
