-- cron_after(fields, zone, after): the first instant after one at which a cron expression is due in a zone; null: none before the
-- year 10000. Where clocks change:
--   with given hours, a time that is left out is due at the first instant after the gap, one that is shown twice the first time only;
--   with any hour (*), what clocks show decides: nothing is due in a gap, and what is shown twice is due twice, so that a rule
--   for each hour fires each hour that passes.
-- Internal.
create function cron_after(fields bigint[], zone text, after timestamptz) returns timestamptz
language plpgsql immutable strict
as $$
declare
    hour constant interval := interval '1 h';
    any_hour constant boolean := fields[7] & 1 = 1;
    cursor_at timestamptz := after;
    distance interval := (after at time zone zone) - (after at time zone 'UTC');
    start timestamp := date_trunc('second', after at time zone zone) + interval '1 s';
    shown timestamp;
    due timestamptz;
    seen timestamptz;
begin
    if not any_hour then
        seen := instant_of(after at time zone zone, zone);
        if seen < after then -- what is shown again has been due: go on behind it
            start := greatest(start, (zone_change(zone, seen, after) at time zone 'UTC') + ((seen at time zone zone) - (seen at time zone 'UTC')));
        end if;
        loop
            shown := cron_local(fields, start);
            due := instant_of(shown, zone);
            exit when due is null or due > after;
            start := shown + interval '1 s';
        end loop;
        return due;
    end if;
    loop
        shown := cron_local(fields, start);
        if shown is null then
            return null;
        end if;
        due := (shown - distance) at time zone 'UTC';
        -- As long as the clocks do not change: the next change within a day may bring times again.
        seen := least(due, cursor_at + 25 * hour);
        if (seen at time zone zone) - (seen at time zone 'UTC') <> distance then
            seen := zone_change(zone, cursor_at, seen);
            if due < seen then
                return due;
            end if;
            cursor_at := seen;
            distance := (seen at time zone zone) - (seen at time zone 'UTC');
            start := seen at time zone zone;
        elsif seen = due then
            return due;
        else
            -- Far away: go on shortly before.
            cursor_at := due - 49 * hour;
            cursor_at := greatest(cursor_at, seen);
            distance := (cursor_at at time zone zone) - (cursor_at at time zone 'UTC');
            start := date_trunc('second', cursor_at at time zone zone) + interval '1 s';
        end if;
    end loop;
end
$$;
comment on function cron_after is 'When a cron expression is due next in a zone.';
