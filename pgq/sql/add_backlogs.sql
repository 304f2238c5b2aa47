-- add_backlogs(queues, groups, kinds): notes that jobs of these wait for their turn. Internal: whoever puts such jobs into waiting.
-- Takes no locks, so that enqueuers of one group do not wait for each other: two of them may add the same row.
create function add_backlogs(queues text[], groups text[], kinds text[]) returns void
language sql
as $$
    insert into backlogs (queue, group_name, kind)
    select distinct u.queue, coalesce(u.group_name, ''), u.kind
    from unnest(queues, groups, kinds) u(queue, group_name, kind)
    where not exists (
        select from backlogs b where b.queue = u.queue and b.group_name = coalesce(u.group_name, '') and b.kind = u.kind offset 0)
$$;
comment on function add_backlogs is 'Notes that jobs wait for their turn.';
