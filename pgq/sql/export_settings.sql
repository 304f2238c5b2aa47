-- export_settings(of, name): the settings of queues, kinds, limits, schedules and consumers, as one JSON object each that import_setting takes:
-- {"type": "setting", "of": "queue", "name": "mail", "settings": {"max_depth": 1000}}; limits have a "scope", schedules that are paused
-- "paused". What is not set is left out; all that is in "settings" is what the set_... verbs take. Ordered by of, scope, name, as they are to be
-- imported: a schedule's job must fit the settings of its queue. of, name: only those; null for all. Locks nothing.
-- Not settings: pauses of queues and limits, which somebody made and will end; positions of consumers, runs of schedules; rights.
-- roles: operator
create function export_settings(of text default null, name text default null)
returns table (line jsonb)
language sql stable security definer set search_path from current set jit = off set timezone = 'UTC' set intervalstyle = 'iso_8601' set datestyle = 'ISO'
as $$
    with settings as (
        select 1 as place, 'queue' as of, null::text collate "C" as scope, q.name, to_jsonb(q) as row, null::jsonb as paused from queues q
        union all
        select 2, 'kind', null, k.name, to_jsonb(k), null from kinds k
        union all
        select 3, 'limit', l.scope, l.name, to_jsonb(l), null from limits l
        union all
        select 4, 'schedule', null, s.name,
               (to_jsonb(s) - 'job') || case when s.job is null then '{}' else
                   jsonb_build_object('kind', s.job -> 'kind')
                   || case when s.job ? 'args' then jsonb_build_object('args', s.job -> 'args') else '{}' end
                   || case when s.job - 'kind' - 'args' = '{}' then '{}' else jsonb_build_object('options', s.job - 'kind' - 'args') end end,
               case when s.paused_at is not null then jsonb_strip_nulls(jsonb_build_object('by', s.paused_by, 'reason', s.pause_reason)) end
        from schedules s
        union all
        select 5, 'consumer', null, c.name, to_jsonb(c), null from consumers c
    )
    select jsonb_build_object('type', 'setting', 'of', s.of, 'name', s.name, 'settings', coalesce(f.settings, '{}'))
           || case when s.scope is null then '{}' else jsonb_build_object('scope', s.scope) end
           || case when s.paused is null then '{}' else jsonb_build_object('paused', s.paused) end
    from settings s
    cross join lateral (
        select jsonb_object_agg(r.key, r.value) as settings
        from jsonb_each(s.row) r
        -- Null is what is not set; args may be JSON's null.
        where (r.key = any(setting_fields(s.of)) or s.of = 'schedule' and r.key in ('kind', 'args', 'options'))
          and (r.value <> 'null' or r.key = 'args')) f
    where (export_settings.of is null or s.of = export_settings.of)
      and (export_settings.name is null or s.name = export_settings.name)
    order by s.place, s.scope, s.name
$$;
comment on function export_settings is 'The settings of queues, kinds, limits, schedules and consumers, as import_setting takes them.';
