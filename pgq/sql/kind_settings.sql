-- kind_settings: the settings of kinds of jobs (set_kind); null means "as its queue says". A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view kind_settings as
select k.name, k.backoff, k.updated_at
from kinds k;
comment on view kind_settings is 'The settings of kinds of jobs.';
comment on column kind_settings.name is 'The kind.';
comment on column kind_settings.backoff is 'How long failed attempts wait (see backoff_problem); null: as the queue says.';
comment on column kind_settings.updated_at is 'When the settings were last set.';
