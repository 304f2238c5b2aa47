-- spend(scopes, names, counts, at): takes tokens out of the buckets of those queues, kinds and groups that have a rate,
-- for attempts that begin at that time. Internal: the caller deals (deal) or looked for room (queue_room), so that nobody else writes them.
create function spend(scopes text[], names text[], counts bigint[], at timestamptz) returns void
language sql
as $$
    insert into gates as g (scope, name, tokens, refilled_at)
    select u.scope, u.name, coalesce(l.burst, l.rate) - u.n, spend.at
    from unnest(scopes, names, counts) u(scope, name, n)
    cross join lateral (
        select x.rate, x.burst from limits x where u.scope <> 'group' and x.scope = u.scope and x.name = u.name
        union all
        select x.rate, x.burst from limit_of(u.name) x where u.scope = 'group') l
    where l.rate is not null and u.n > 0
    on conflict (scope, name) do update
    set (tokens, refilled_at) = (
        select tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, spend.at)
               - (coalesce(l.burst, l.rate) - excluded.tokens), spend.at
        from (select x.rate, x.period, x.burst from limits x where g.scope <> 'group' and x.scope = g.scope and x.name = g.name
              union all
              select x.rate, x.period, x.burst from limit_of(g.name) x where g.scope = 'group') l)
$$;
comment on function spend is 'Takes tokens out of buckets.';
