-- backoff_delay(policy, attempt): how long to wait after the given failed attempt (1 is the first).
-- constant: base; linear: base * attempt; polynomial: base * attempt^exponent, exponent 2 by default; exponential: base *
-- factor^(attempt - 1), factor 2 by default; table: the delay of the attempt, the last one for all attempts after it.
-- The cap comes before the jitter, which spreads the delay evenly over +/- jitter * delay.
create function backoff_delay(policy jsonb, attempt integer) returns interval
language sql volatile
as $$
    select make_interval(secs =>
        least(
            case policy ->> 'type'
                when 'table' then
                    coalesce((policy -> 'delays' ->> (least(attempt, jsonb_array_length(policy -> 'delays')) - 1))::double precision, 0)
                else coalesce((policy ->> 'base')::double precision, 0) * case policy ->> 'type'
                    when 'linear' then attempt
                    when 'polynomial' then power(attempt, coalesce((policy ->> 'exponent')::double precision, 2))
                    when 'exponential' then
                        power(coalesce((policy ->> 'factor')::double precision, 2), least(attempt - 1, 100))
                    else 1 end
            end,
            coalesce((policy ->> 'cap')::double precision, 31536000))
        * (1 + coalesce((policy ->> 'jitter')::double precision, 0) * (2 * random() - 1)))
$$;
comment on function backoff_delay is 'Delay after a failed attempt under a backoff policy.';
