-- queues_in_turn(): the queues in which jobs wait for their turn, or did a moment ago. Internal. From one to the next along an index.
create function queues_in_turn() returns setof text
language sql stable
as $$
    with recursive place as (
        (select b.queue from backlogs b order by b.queue limit 1)
        union all
        select n.*
        from place p
        cross join lateral (select b.queue from backlogs b where b.queue > p.queue order by b.queue limit 1) n
    )
    select p.queue from place p
$$;
comment on function queues_in_turn is 'Queues in which jobs wait for their turn.';
