-- next_turn(): wakes the workers of queues in which a bucket has a token again, a pause is over or a probe may run, or whose jobs might have been overlooked;
-- when to call it next, null: not for a reason of its own. Internal: do_chores.
create function next_turn() returns timestamptz
language plpgsql
as $$
declare
    now constant timestamptz := clock_timestamp();
    queues text[];
    next timestamptz;
begin
    with opening as (
        select g.scope, g.name,
               greatest(g.paused_until, g.probe_at, g.refilled_at + (1 - g.tokens) / l.rate * l.period) as at
        from gates g
        left join lateral (
            select x.rate, x.period from limits x where g.scope <> 'group' and x.scope = g.scope and x.name = g.name
            union all
            select x.rate, x.period from limit_of(g.name) x where g.scope = 'group') l on true
    )
    select min(o.at) filter (where o.at > now), array_agg(o.name) filter (where o.scope = 'queue' and o.at <= now)
    into next, queues
    from opening o;
    perform wake(array(select b.queue from backlogs b union select unnest(queues)));
    return greatest(next, now + interval '50 ms'); -- what comes in between starts together
end
$$;
comment on function next_turn is 'Wakes workers for jobs whose turn may have come.';
