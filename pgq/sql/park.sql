-- park(queue_name, groups, turns, untils, vain): what becomes of the groups that a round of dealing has looked at: they get turns (null: keep theirs), wait for
-- room until a time (null: do not), and leave the line where no job of theirs is left. vain: none was to be had though there was room: others have
-- them locked, or they are held. Internal: deal_round, under the lock of deal. In a statement after the one that took jobs, to see what is left.
create function park(queue_name text, groups text[], turns double precision[], untils timestamptz[], vain boolean[]) returns void
language plpgsql -- keeps its plan
as $$
begin
    with looked as materialized (
        select b.tid, u.turn, u.until, u.vain,
               exists (select from waiting w
                       where w.role = 'turn' and w.queue = queue_name and w.group_name = u.name and w.kind = b.kind and w.priority = b.priority
                       offset 0) as any_left
        from unnest(groups, turns, untils, vain) u(name, turn, until, vain)
        cross join lateral (
            select x.ctid as tid, x.kind, x.priority, x.parked_until from backlogs x
            where x.queue = queue_name and x.group_name = u.name offset 0) b
        where b.parked_until is null -- not said inside, where all of the line would be walked along for each
    )
    update backlogs b
    set turn = coalesce(l.turn, b.turn),
        parked_until = case
            when not l.any_left then clock_timestamp() + interval '50 ms'
            when l.until is not null then l.until
            when l.vain then clock_timestamp() + interval '50 ms'
        end,
        emptied_at = case when not l.any_left then clock_timestamp() end
    from looked l
    where b.ctid = l.tid and (l.turn is not null or l.until is not null or l.vain or not l.any_left);
end
$$;
comment on function park is 'Moves groups on in line, or out of it.';
