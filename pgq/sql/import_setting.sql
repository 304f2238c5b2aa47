-- import_setting(setting): makes a queue, kind, limit, schedule or consumer have the settings that the line of export_settings says, all of
-- them: what it leaves out is put back to the default. Returns created, changed or unchanged; again with the same line it is unchanged. What no line
-- names stays as it is. Call it for each line, in one transaction: all or nothing.
--
--   select pgq.import_setting('{"type": "setting", "of": "queue", "name": "mail", "settings": {"max_depth": 1000, "keep_failed": "30 days"}}');
--
-- Of queue '*' settings that must have a value keep it. Schedules go on where they were unless their times change; one that is created by a
-- line with "paused" is paused, one that is there keeps its pause, or that it has none. Consumers keep their position, new ones begin now.
-- Raises PQ001 with the field and the rule. Locks: the row, see set_queue, set_kind, set_limit, set_schedule, set_consumer.
-- roles: operator
create function import_setting(setting jsonb) returns text
language plpgsql security definer set search_path from current
set jit = off set timezone = 'UTC' set intervalstyle = 'iso_8601' set datestyle = 'ISO'
as $$
#variable_conflict use_variable
declare
    of constant text := setting ->> 'of';
    name constant text := setting ->> 'name';
    scope constant text := setting ->> 'scope';
    settings constant jsonb := setting -> 'settings';
    before jsonb;
    after jsonb;
begin
    perform check_setting(setting);
    select line into before from export_settings(of, name) where line ->> 'scope' is not distinct from scope;
    if before = setting then
        return 'unchanged';
    end if;
    case of
        when 'queue' then
            perform set_queue(name, (
                select jsonb_object_agg(f, settings -> f)
                from unnest(setting_fields('queue')) f
                where name <> '*' or settings ? f or f in ('max_depth', 'warn_depth', 'timeout')) || settings);
        when 'kind' then
            perform set_kind(name, (select jsonb_object_agg(f, settings -> f) from unnest(setting_fields('kind')) f) || settings);
        when 'limit' then
            delete from limits l where (l.scope, l.name) = (scope, name);
            perform set_limit(scope, name, settings);
        when 'schedule' then
            if set_schedule_json(settings - 'declared_by' || jsonb_build_object('name', name), settings ->> 'declared_by') = 'created'
               and setting -> 'paused' <> 'null' then
                perform pause_schedule(name, setting -> 'paused' ->> 'reason', coalesce(setting -> 'paused' ->> 'by', session_user));
            end if;
        when 'consumer' then
            begin
                perform set_consumer(
                    name,
                    case when settings -> 'queues' <> 'null' then array(select jsonb_array_elements_text(settings -> 'queues')) end,
                    case when settings -> 'types' <> 'null' then array(select jsonb_array_elements_text(settings -> 'types')) end,
                    coalesce((settings ->> 'keep')::interval, '7 days'));
            exception when data_exception then
                perform invalid('keep', 'cannot be read as interval');
            end;
    end case;
    select line into after from export_settings(of, name) where line ->> 'scope' is not distinct from scope;
    return case when before is null then 'created' when before = after then 'unchanged' else 'changed' end;
end
$$;
comment on function import_setting is 'Makes a queue, kind, limit, schedule or consumer have the settings that a line of export_settings says.';
