-- tokens_at(rate, period, burst, tokens, refilled_at, at): how many tokens a bucket has at a time: as many as burst (null: rate) at the
-- most, and at the beginning. Internal, inlined. Token bucket as in J. S. Turner, "New directions in communications", 1986.
create function tokens_at(rate integer, period interval, burst integer, tokens double precision, refilled_at timestamptz, at timestamptz)
returns double precision
language sql immutable
as $$
    select least(coalesce(burst, rate),
                 coalesce(tokens + greatest(0, extract(epoch from at - refilled_at)) * rate / extract(epoch from period), coalesce(burst, rate)))
$$;
comment on function tokens_at is 'How many tokens a bucket has at a time.';
