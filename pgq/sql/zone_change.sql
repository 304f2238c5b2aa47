-- zone_change(zone, after, until): the first instant after one at which a zone shows another distance from UTC than there, given that
-- it does so at the other. Halves the time between them; both are hours apart, or days. Internal.
create function zone_change(zone text, after timestamptz, until timestamptz) returns timestamptz
language plpgsql immutable strict
as $$
declare
    low timestamptz := date_trunc('second', after, 'UTC'); -- clocks change at whole seconds
    high timestamptz := date_trunc('second', until, 'UTC');
    middle timestamptz;
    distance constant interval := (low at time zone zone) - (low at time zone 'UTC');
begin
    while high - low > interval '1 s' loop
        middle := low + make_interval(secs => floor(extract(epoch from high - low) / 2)::float8);
        if (middle at time zone zone) - (middle at time zone 'UTC') = distance then
            low := middle;
        else
            high := middle;
        end if;
    end loop;
    return high;
end
$$;
comment on function zone_change is 'When the clocks of a zone change.';
