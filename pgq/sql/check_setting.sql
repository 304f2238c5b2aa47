-- check_setting(setting): raises PQ001 with the field unless it has the form of a line of export_settings; what the values may be, the
-- set_... verbs say. Internal: import_setting.
create function check_setting(setting jsonb) returns void
language plpgsql stable
as $$
#variable_conflict use_variable
declare
    of constant text := setting ->> 'of';
    settings constant jsonb := setting -> 'settings';
    bad text;
begin
    if jsonb_typeof(setting) is distinct from 'object' or setting ->> 'type' is distinct from 'setting' then
        perform invalid('type', 'must be setting');
    end if;
    select k into bad from jsonb_object_keys(setting) k
    where k not in ('type', 'of', 'name', 'settings') and (k <> 'scope' or of <> 'limit') and (k <> 'paused' or of <> 'schedule')
    order by k limit 1;
    if of is null or of not in ('queue', 'kind', 'limit', 'schedule', 'consumer') then
        perform invalid('of', 'must be queue, kind, limit, schedule or consumer');
    elsif bad is not null then
        perform invalid(left(bad, 60), format('is not a member of the settings of a %s', of));
    elsif jsonb_typeof(setting -> 'name') is distinct from 'string' then
        perform invalid('name', 'must be a string');
    elsif of = 'limit' and jsonb_typeof(setting -> 'scope') is distinct from 'string' then
        perform invalid('scope', 'must be queue, kind or group');
    elsif jsonb_typeof(setting -> 'paused') not in ('object', 'null') then
        perform invalid('paused', 'must be a JSON object');
    elsif jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    elsif of = 'limit' and jsonb_strip_nulls(settings) = '{}' then
        perform invalid('settings', 'must have a setting: a limit without one is none');
    end if;
    -- The other verbs refuse what they do not know.
    select k into bad from jsonb_object_keys(settings) k
    where of = 'schedule' and k <> all(array_remove(setting_fields('schedule'), 'job') || '{kind,args,options}'::text[])
       or of = 'consumer' and k <> all(setting_fields('consumer'))
    order by k limit 1;
    if found then
        perform invalid(left(bad, 60), format('is not a setting of a %s', of));
    end if;
    select k into bad from unnest('{queues,types}'::text[]) k where of = 'consumer' and jsonb_typeof(settings -> k) not in ('array', 'null') limit 1;
    if found then
        perform invalid(bad, 'must be a JSON array of names');
    end if;
end
$$;
comment on function check_setting is 'Refuses what is no line of export_settings.';
