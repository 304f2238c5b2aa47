-- health: one row of figures that tell whether the database and the workers keep up; 0, null or false is well for all but
-- workers_alive and chores_age. A stable contract for SELECT. Bounded in cost, locks nothing. Without the rights of
-- pg_read_all_stats PostgreSQL hides other roles' transactions: oldest_transaction_age counts one's own then.
-- roles: operator, reader
create view health as
select a.oldest_transaction_age,
       greatest(a.xmin_age, x.prepared_age, x.slot_age) as oldest_xmin_age,
       pg_notification_queue_usage() as notify_queue_use,
       w.alive as workers_alive,
       w.silent as workers_silent,
       w.dead as workers_dead,
       (select count(*)
        from running r
        left join workers o on o.id = r.worker_id and o.dead_at is null and o.heartbeat_at > statement_timestamp() - o.lease
        where o.id is null) as expired_leases,
       c.age as chores_age,
       coalesce(c.age > interval '30 seconds', true) as chores_stuck,
       (select statement_timestamp() - s.run_at
        from scheduled s where s.run_at <= statement_timestamp() order by s.run_at limit 1) as promotion_lag,
       (select statement_timestamp() - e.expires_at
        from expiries e where e.expires_at <= statement_timestamp() order by e.expires_at, e.job_id limit 1) as expiry_lag,
       (select count(*) from (select from frontier limit 10000) f) as frontier_backlog,
       (select count(*) from queues q where q.paused_at is not null) as paused_queues
from (
    select max(statement_timestamp() - xact_start) as oldest_transaction_age, max(age(backend_xmin)) as xmin_age
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()) a
cross join (
    select (select max(age(transaction)) from pg_prepared_xacts) as prepared_age,
           (select max(greatest(age(xmin), age(catalog_xmin))) from pg_replication_slots) as slot_age) x
cross join (
    select count(*) filter (where dead_at is null and heartbeat_at > statement_timestamp() - lease) as alive,
           count(*) filter (where dead_at is null and heartbeat_at <= statement_timestamp() - lease) as silent,
           count(*) filter (where dead_at is not null) as dead
    from workers) w
cross join (
    select statement_timestamp() - nullif(max(last_run_at), '-infinity') as age from chores where name in ('rescue', 'round')) c;
comment on view health is 'One row: whether the database and the workers keep up.';
comment on column health.oldest_transaction_age is 'How long the oldest other transaction in this database has been open: it keeps dead rows from being removed.';
comment on column health.oldest_xmin_age is 'How many transactions ago the oldest snapshot was taken that keeps dead rows: of a session, a prepared transaction or a replication slot.';
comment on column health.notify_queue_use is 'Share of PostgreSQL''s NOTIFY queue that is in use; at 1 commits that notify fail.';
comment on column health.workers_alive is 'Workers that were heard of within their lease.';
comment on column health.workers_silent is 'Workers that are about to be declared dead.';
comment on column health.workers_dead is 'Workers that were declared dead and have not retired.';
comment on column health.expired_leases is 'Running jobs whose worker is not alive: they are given back within seconds if any worker lives.';
comment on column health.chores_age is 'How long ago any worker last did the chores; null: never.';
comment on column health.chores_stuck is 'Whether that was more than 30 seconds ago or never: nothing delayed starts, nobody is rescued.';
comment on column health.promotion_lag is 'For how long the longest overdue scheduled job has been due; null: none is.';
comment on column health.expiry_lag is 'For how long the longest overdue expiry has been due; null: none is.';
comment on column health.frontier_backlog is 'Ranges of children that have yet to hear of a parent''s end, counted up to 10,000.';
comment on column health.paused_queues is 'Queues that are paused.';
