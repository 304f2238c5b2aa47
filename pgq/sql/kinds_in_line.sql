-- kinds_in_line(queue_name): the kinds and priorities of jobs whose groups are in line in a queue. Internal. From one to the next along an index,
-- whatever the number of groups.
create function kinds_in_line(queue_name text) returns table (kind text, priority smallint)
language sql stable
as $$
    with recursive place as (
        (select b.kind, b.priority from backlogs b
         where b.queue = queue_name and b.parked_until is null order by b.kind, b.priority limit 1)
        union all
        select n.*
        from place p
        cross join lateral (
            select b.kind, b.priority from backlogs b
            where b.queue = queue_name and b.parked_until is null and (b.kind, b.priority) > (p.kind, p.priority)
            order by b.kind, b.priority limit 1) n
    )
    select p.kind, p.priority from place p
$$;
comment on function kinds_in_line is 'Kinds and priorities of jobs that wait for their turn.';
