-- backoff_delay(policy, attempt): how long to wait after the given failed attempt (1 is the first).
-- constant: base; linear: base * attempt; exponential: base * factor^(attempt - 1), factor 2 by default.
-- The cap comes before the jitter, which spreads the delay evenly over +/- jitter * delay.
create function backoff_delay(policy jsonb, attempt integer) returns interval
language sql volatile
as $$
    select make_interval(secs =>
        least(
            coalesce((policy ->> 'base')::double precision, 0) * case policy ->> 'type'
                when 'linear' then attempt
                when 'exponential' then
                    power(coalesce((policy ->> 'factor')::double precision, 2), least(attempt - 1, 100))
                else 1
            end,
            coalesce((policy ->> 'cap')::double precision, 31536000))
        * (1 + coalesce((policy ->> 'jitter')::double precision, 0) * (2 * random() - 1)))
$$;
comment on function backoff_delay is 'Delay after a failed attempt under a backoff policy.';
