-- time_after(fields, period, once_at, zone, anchor, after): the first instant after one at which a schedule is due that read_spec has
-- read; null: none any more. Periods are of elapsed time, counted from the anchor, which is due itself. Internal.
create function time_after(
    fields bigint[], period interval, once_at timestamptz, zone text, anchor timestamptz, after timestamptz)
returns timestamptz
language plpgsql immutable
as $$
declare
    length constant numeric := extract(epoch from period);
begin
    if once_at is not null then
        return case when once_at > after then once_at end;
    elsif period is not null then
        return case when anchor > after then anchor
                    else anchor + make_interval(secs => ((floor(extract(epoch from after - anchor) / length) + 1) * length)::float8) end;
    end if;
    return cron_after(fields, zone, after);
end
$$;
comment on function time_after is 'When a schedule is due next.';
