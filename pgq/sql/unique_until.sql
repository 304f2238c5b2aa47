-- unique_until(spec): until when a job that is enqueued now bars others with its key, whatever becomes of it; null: for no such time. Internal.
create function unique_until(spec jsonb) returns timestamptz
language plpgsql stable
as $$
declare
    seconds numeric;
begin
    if spec ? 'for' then
        return now() + (spec ->> 'for')::interval;
    elsif spec ? 'period' then
        seconds := extract(epoch from (spec ->> 'period')::interval);
        return to_timestamp((floor(extract(epoch from now()) / seconds) + 1) * seconds);
    elsif spec ? 'throttle' and unique_wait(spec) is null then
        return now() + (spec #>> '{throttle,every}')::interval;
    end if;
    return null;
end
$$;
comment on function unique_until is 'Until when a job bars others, whatever becomes of it.';
