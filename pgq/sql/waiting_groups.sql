-- waiting_groups(at_most): of how many groups jobs wait for their turn, counted up to so many per queue: in one queue each group counts once. Locks nothing.
-- roles: operator, reader
create function waiting_groups(at_most integer default 1000) returns bigint
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
    select count(*)
    from queues_in_turn() q
    cross join lateral (
        select distinct b.group_name from backlogs b
        where b.queue = q and b.group_name > '' and b.emptied_at is null
        order by b.group_name limit at_most) g
$$;
comment on function waiting_groups is 'Of how many groups jobs wait for their turn.';
