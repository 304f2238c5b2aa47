-- put_off_wide(parents, first_children, last_children, at_once): leaves the children of each parent beyond the first at_once to the
-- frontier. Internal: deliver. Returns the last children that are to be told now.
-- Locks: rows of frontier that hold the same children.
create function put_off_wide(parents bigint[], first_children bigint[], last_children bigint[], at_once integer) returns bigint[]
language sql
as $$
    with wide as materialized (
        select p.place, p.id, p.last_child, e.child_id
        from unnest(parents, first_children, last_children) with ordinality p(id, first_child, last_child, place)
        cross join lateral (
            select child_id
            from edges
            where parent_id = p.id and child_id between p.first_child and p.last_child
            order by child_id
            offset at_once limit 1) e
    ), added as (
        insert into frontier (parent_id, first_child, last_child)
        select id, child_id, last_child from wide
        on conflict (parent_id, first_child) do update set last_child = greatest(frontier.last_child, excluded.last_child)
    )
    select array_agg(coalesce(w.child_id - 1, p.last_child) order by p.place)
    from unnest(last_children) with ordinality p(last_child, place)
    left join wide w using (place)
$$;
comment on function put_off_wide is 'Leaves children of wide parents to the frontier.';
