-- unique_wait(spec): how long a job that is debounced, or throttled at the end of the interval, waits; null for others. Internal, inlined.
create function unique_wait(spec jsonb) returns interval
language sql stable
as $$
    select coalesce((spec #>> '{debounce,wait}')::interval,
                    case when spec #>> '{throttle,edge}' = 'trailing' then (spec #>> '{throttle,every}')::interval end)
$$;
comment on function unique_wait is 'How long a debounced job waits.';
