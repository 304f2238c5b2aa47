-- zone_problem(zone): what is wrong with a time zone: it must be a name that PostgreSQL has from IANA's database, no abbreviation and no
-- offset, which know nothing of summer time; null when nothing is. To look through all names takes a quarter of a
-- second, so it is done only where PostgreSQL might take something else for a zone. Internal.
create function zone_problem(zone text) returns text
language plpgsql stable
as $$
begin
    if zone = 'UTC' or exists (select from schedules s where s.zone = zone_problem.zone limit 1) then
        return null;
    elsif zone ~ '^[A-Z][A-Za-z_]+(/[A-Z][A-Za-z_]+)+$' then
        perform now() at time zone zone;
        return null;
    elsif exists (select from pg_timezone_names n where n.name = zone_problem.zone) and zone !~ '^(posix|right)/|^(Factory|localtime|posixrules)$' then
        return null;
    end if;
    return format('must be the name of a time zone, such as Europe/Berlin; %s is none', to_json(coalesce(left(zone, 60), '')));
exception when invalid_parameter_value then
    return format('must be the name of a time zone, such as Europe/Berlin; %s is none', to_json(left(zone, 60)));
end
$$;
comment on function zone_problem is 'What is wrong with a time zone, or null.';
