-- next_time(spec, zone, after): the first time after one at which a schedule would be due; null when there is none any more. An interval
-- ("every 15 minutes") is counted from that time on. See set_schedule for what spec may be.
--
--   select pgq.next_time('30 2 * * *', 'Europe/Berlin', '2030-03-31 00:00+01');
--
-- Raises PQ001 for a spec or zone that is none. Locks nothing.
-- roles: producer, worker, operator, reader
create function next_time(spec text, zone text default 'UTC', after timestamptz default now()) returns timestamptz
language plpgsql stable security definer set search_path from current
as $$
declare
    problem text := zone_problem(zone);
    rule record;
begin
    if problem is not null then
        perform invalid('zone', problem);
    elsif after is null or not isfinite(after) then
        perform invalid('after', 'must be a time');
    end if;
    rule := read_spec(spec, zone);
    if rule.problem is not null then
        perform invalid('spec', rule.problem);
    end if;
    return case when rule.period is not null then after + rule.period
                else time_after(rule.fields, null, rule.once_at, zone, null, after) end;
end
$$;
comment on function next_time is 'When a schedule would be due next.';
