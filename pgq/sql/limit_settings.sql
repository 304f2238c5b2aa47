-- limit_settings: the limits that were set (set_limit). A name of groups that ends in "*" stands for many. A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view limit_settings as
select l.scope, l.name, l.max_running, l.rate, l.period, l.burst, l.weight, l.updated_at, l.break_after, l.break_within, l.break_for
from limits l;
comment on view limit_settings is 'The limits that were set.';
comment on column limit_settings.scope is 'What is limited: queue, kind or group.';
comment on column limit_settings.name is 'Which one; a name of groups may end in *, and each of them has the limit for itself.';
comment on column limit_settings.max_running is 'How many of its jobs may run at a time.';
comment on column limit_settings.rate is 'How many may start per period.';
comment on column limit_settings.period is 'In what time.';
comment on column limit_settings.burst is 'How many at once after a rest; null: as many as rate says.';
comment on column limit_settings.weight is 'How many turns a group gets where others get one.';
comment on column limit_settings.updated_at is 'When it was changed last.';
comment on column limit_settings.break_after is 'How many attempts have to fail for its circuit breaker to open.';
comment on column limit_settings.break_within is 'In what time.';
comment on column limit_settings.break_for is 'For how long none starts then, until a probe.';
