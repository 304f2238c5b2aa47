-- check_schedule(...): raises PQ001 for the first field of a schedule, but for the spec, that breaks a rule; see set_schedule.
-- Internal.
create function check_schedule(
    name text, zone text, jitter interval, starts_at timestamptz, ends_at timestamptz, max_runs bigint, missed text,
    missed_limit integer, overlap text, declared_by text) returns void
language plpgsql stable
as $$
declare
    problem constant text[] := case
        when name is null or length(name) not between 1 and 128 then array['name', 'must have 1 to 128 characters']
        when name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then array['name', 'must not have control characters']
        when length(declared_by) not between 1 and 128 then array['declared_by', 'must have 1 to 128 characters']
        when zone_problem(zone) is not null then array['zone', zone_problem(zone)]
        when jitter is null or jitter < interval '0' or jitter > interval '1 day' then array['jitter', 'must be 0 to 1 day']
        when not isfinite(starts_at) or starts_at < '0001-01-01 00:00+00' or starts_at >= '10000-01-01 00:00+00'
            then array['starts_at', 'must be in the years 1 to 9999']
        when not isfinite(ends_at) or ends_at < '0001-01-01 00:00+00' or ends_at >= '10000-01-01 00:00+00'
            then array['ends_at', 'must be in the years 1 to 9999']
        when ends_at <= starts_at then array['ends_at', 'must be after starts_at']
        when max_runs < 1 then array['max_runs', 'must be at least 1']
        when missed is null or missed not in ('skip', 'once', 'all') then array['missed', 'must be skip, once or all']
        when missed_limit is null or missed_limit not between 1 and 1000 then array['missed_limit', 'must be 1 to 1000']
        when overlap is null or overlap not in ('allow', 'skip', 'queue', 'cancel')
            then array['overlap', 'must be allow, skip, queue or cancel']
    end;
begin
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
end
$$;
comment on function check_schedule is 'Refuses a schedule that breaks a rule.';
