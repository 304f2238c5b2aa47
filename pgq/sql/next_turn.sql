-- next_turn(): wakes the workers of queues in which a bucket has a token again, a pause is over or a probe may run, or whose jobs might have been overlooked;
-- when to call it next. Internal: do_chores. Looks at the gates of kinds and queues, and at the next of the parked groups of each queue.
create function next_turn() returns timestamptz
language plpgsql
as $$
declare
    now constant timestamptz := clock_timestamp();
    vacant constant boolean := exists (select from vacancies);
    woken text[];
    next timestamptz;
begin
    with openings as (
        select g.scope, g.name,
               greatest(g.paused_until, g.probe_at, g.refilled_at + (1 - g.tokens) / l.rate * l.period) as at
        from gates g
        left join limits l on l.scope = g.scope and l.name = g.name
        where g.scope <> 'group'
    ), lines as (
        select q.name,
               exists (select from backlogs b where b.queue = q.name and b.parked_until is null offset 0) as in_line,
               (select min(b.parked_until) from backlogs b where b.queue = q.name) as at
        from queues_in_turn() q(name)
    )
    select least((select min(o.at) from openings o where o.at > now), (select min(l.at) from lines l where l.at > now)),
           array(select o.name from openings o where o.scope = 'queue' and o.at <= now
                 union
                 select l.name from lines l where l.in_line or vacant or l.at <= now)
    into next, woken;
    perform wake(woken);
    return greatest(next, now + interval '50 ms'); -- what comes in between starts together
end
$$;
comment on function next_turn is 'Wakes workers for jobs whose turn may have come.';
