-- setting_fields(of): which columns of queues, kinds, limits, schedules and consumers are settings, and not state, position or a time of change: those
-- that export_settings writes. Internal: export_settings, import_setting.
create function setting_fields(of text) returns text[]
language sql stable
as $$
    select array_agg(a.attname::text order by a.attnum)
    from pg_attribute a
    where a.attrelid = (select c.oid from pg_class c
                        where c.relnamespace = (select oid from pg_namespace where nspname = current_schema()) and c.relkind = 'r'
                          and c.relname = (case of when 'queue' then 'queues' when 'kind' then 'kinds' when 'limit' then 'limits'
                                                   when 'schedule' then 'schedules' when 'consumer' then 'consumers' end))
      and a.attnum > 0 and not a.attisdropped
      and a.attname not in ('name', 'scope', 'created_at', 'updated_at', 'paused_at', 'paused_by', 'pause_reason')
      -- Of schedules: how the spec was read, and how far it is. Of consumers: the position, the lease, what became of it.
      and (of <> 'schedule' or a.attname in ('spec', 'zone', 'job', 'dag', 'jitter', 'starts_at', 'ends_at', 'max_runs', 'missed', 'missed_limit',
                                             'overlap', 'declared_by'))
      and (of <> 'consumer' or a.attname in ('queues', 'types', 'keep'))
$$;
comment on function setting_fields is 'Which columns are settings.';
