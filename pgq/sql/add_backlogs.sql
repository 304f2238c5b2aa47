-- add_backlogs(queues, groups, kinds, priorities): notes that jobs of these wait for their turn. Internal: whoever puts such jobs into waiting.
-- A group begins at the time of its queue, or where its other jobs are: who was away gets no credit for it.
-- Takes no locks, so that enqueuers of one group do not wait for each other: two of them may add the same row. One that is said to be empty does
-- not count: it may be deleted before these jobs are committed.
create function add_backlogs(queues text[], groups text[], kinds text[], priorities smallint[]) returns void
language sql
as $$
    insert into backlogs (queue, group_name, kind, priority, turn)
    select u.queue, u.group_name, u.kind, u.priority,
           greatest((select max(b.turn) from backlogs b where b.queue = u.queue and b.group_name = u.group_name),
                    (select c.time from clocks c where c.queue = u.queue), 0)
    from (select distinct a.queue, coalesce(a.group_name, '') as group_name, a.kind, a.priority
          from unnest(queues, groups, kinds, priorities) a(queue, group_name, kind, priority)) u
    where not exists (
        select from backlogs b
        where b.queue = u.queue and b.group_name = u.group_name and b.kind = u.kind and b.priority = u.priority and b.emptied_at is null offset 0)
$$;
comment on function add_backlogs is 'Notes that jobs wait for their turn.';
