-- preview_times(spec, zone, at_most, after): the next times at which a schedule would be due; see next_time. At most 1,000.
-- roles: producer, worker, operator, reader
create function preview_times(
    spec text, zone text default 'UTC', at_most integer default 10, after timestamptz default now()) returns setof timestamptz
language plpgsql stable security definer set search_path from current
as $$
declare
    due timestamptz := next_time(spec, zone, after);
    rule record;
begin
    if at_most is null or at_most not between 1 and 1000 then
        perform invalid('at_most', 'must be 1 to 1000');
    end if;
    rule := read_spec(spec, zone);
    for n in 1 .. at_most loop
        exit when due is null;
        return next due;
        due := time_after(rule.fields, rule.period, rule.once_at, zone, after, due);
    end loop;
end
$$;
comment on function preview_times is 'The next times at which a schedule would be due.';
