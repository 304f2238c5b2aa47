-- instant_of(shown, zone): the instant at which the clocks of a zone show a time: the first one if they show it twice, and if
-- they leave it out the first one after the gap. Internal.
create function instant_of(shown timestamp, zone text) returns timestamptz
language plpgsql immutable strict
as $$
declare
    t constant timestamptz := shown at time zone zone;
    there constant timestamp := t at time zone zone;
    day_before constant timestamptz := t - interval '24 h';
    first timestamptz;
begin
    if there <> shown then
        -- PostgreSQL goes on with the distance from UTC that was before the gap, which leads behind it.
        return zone_change(zone, t - make_interval(secs => extract(epoch from there - shown)::float8), t);
    end if;
    -- Of two PostgreSQL takes the later.
    first := t + ((there - (t at time zone 'UTC')) - ((day_before at time zone zone) - (day_before at time zone 'UTC')));
    return case when first < t and (first at time zone zone) = shown then first else t end;
end
$$;
comment on function instant_of is 'When the clocks of a zone first show a time.';
