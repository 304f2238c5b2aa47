-- registered_queues: queues that have settings of their own, were paused, or had a worker, and whether they are paused. The row
-- '*' is that of the defaults. A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view registered_queues as
select q.name, q.paused_at, q.pause_reason, q.created_at, q.updated_at, q.paused_by from queues q;
comment on view registered_queues is 'Queues that are registered.';
comment on column registered_queues.name is 'Name of the queue; ''*'': the defaults of all.';
comment on column registered_queues.paused_at is 'Since when it is paused; null: it is not.';
comment on column registered_queues.pause_reason is 'Why it is paused.';
comment on column registered_queues.created_at is 'When it was registered.';
comment on column registered_queues.updated_at is 'When it was last set, paused or resumed.';
comment on column registered_queues.paused_by is 'Who paused it.';
