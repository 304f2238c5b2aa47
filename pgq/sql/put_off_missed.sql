-- put_off_missed(parents, first_children, last_children, missed): leaves children to the frontier whose rows of waiting others had
-- locked. Those that wait no more need no news. Internal: deliver. Returns whether any was left.
-- Locks: rows of frontier that hold the same children.
create function put_off_missed(parents bigint[], first_children bigint[], last_children bigint[], missed bigint[]) returns boolean
language sql
as $$
    with added as (
        insert into frontier (parent_id, first_child, last_child)
        select e.parent_id, e.child_id, e.child_id
        from unnest(parents, first_children, last_children) p(id, first_child, last_child)
        cross join lateral (
            select parent_id, child_id
            from edges
            where parent_id = p.id and child_id between p.first_child and p.last_child and child_id = any(missed)
            offset 0) e
        -- Not "exists", which the planner may turn into a join that walks all of waiting.
        where (select true from waiting w where w.job_id = e.child_id)
        on conflict (parent_id, first_child) do update set last_child = greatest(frontier.last_child, excluded.last_child)
        returning 1
    )
    select exists (select from added)
$$;
comment on function put_off_missed is 'Leaves children to the frontier that others had locked.';
