-- deliver(parents, first_children, last_children, quiet): tells the children of finished jobs how these ended, and decides the
-- children that can be decided. Internal: propagate. Children with ids in the given range of each parent are told.
-- Returns the children that are finished by it (skipped, or jobs that no handler runs): their children are next.
--
-- Called in a statement after the one that finished the parents: its snapshot sees the edges that were added while
-- that one waited for the parents' rows. It never waits: a child whose row somebody else has locked is left to
-- the frontier, and so are the children of one parent beyond 5,000; a worker is asked to see to it, unless quiet.
-- Locks: rows of waiting in the order of their ids, skipping those that others have locked.
create function deliver(parents bigint[], first_children bigint[], last_children bigint[], quiet boolean default false) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    decided record;
begin
    with told as materialized (
        select e.parent_id, e.child_id, p.last_child, coalesce(f.cause_id, f.job_id) as cause_id,
               edge_outcome(f.state, f.cause_id, f.output, e.soft, e.condition) as outcome
        from unnest(parents, first_children, last_children) p(id, first_child, last_child)
        cross join lateral (
            select * from edges
            where parent_id = p.id and child_id between p.first_child and p.last_child
            order by child_id
            limit 5001) e
        cross join lateral (select f.* from results f where f.job_id = e.parent_id offset 0) f
    ), wide as materialized (
        select parent_id, max(child_id) as next_child, max(last_child) as last_child
        from told
        where (select count(*) from told) > 5000
        group by parent_id
        having count(*) > 5000
    ), news as materialized (
        select child_id, count(*)::integer as pending,
               (count(*) filter (where outcome = 'ok'))::integer as ok,
               (count(*) filter (where outcome = 'failed'))::integer as failed,
               (count(*) filter (where outcome = 'skipped'))::integer as skipped,
               min(cause_id) filter (where outcome = 'failed') as cause_id
        from told
        where not exists (select from wide w where w.parent_id = told.parent_id and w.next_child = told.child_id)
        group by child_id
    ), locked as materialized (
        select w.job_id, w.role, w.held, w.attempt, w.ending, w.pending - n.pending as pending, w.ok + n.ok as ok,
               w.failed + n.failed as failed, w.skipped + n.skipped as skipped,
               w.need_ok, w.need_failed, w.max_failed, w.max_skipped, w.eager,
               coalesce(w.cause_id, n.cause_id) as cause_id
        from (select * from news order by child_id) u
        cross join lateral (
            select * from waiting w where w.job_id = u.child_id offset 0 for no key update skip locked) w
        -- A map under way waits for its items only, an external node that was reached for none of its parents any more.
        cross join lateral (
            select u.pending, u.ok, u.failed, u.skipped, u.cause_id where w.role is null or w.role not in ('items', 'signal')
            union all
            select count(*)::integer, (count(*) filter (where outcome = 'ok'))::integer,
                   (count(*) filter (where outcome = 'failed'))::integer, (count(*) filter (where outcome = 'skipped'))::integer,
                   min(t.cause_id) filter (where outcome = 'failed')
            from told t
            where w.role in ('items', 'signal') and t.child_id = w.job_id and is_item(t.parent_id, w.job_id)
            having w.role in ('items', 'signal')) n
    ), left_over as (
        insert into frontier (parent_id, first_child, last_child)
        select t.parent_id, t.child_id, t.child_id
        from told t
        where (select count(*) from locked) < (select count(*) from news)
          and t.child_id <> all(array(select job_id from locked))
          and exists (select from waiting w where w.job_id = t.child_id)
          and not exists (select from wide w where w.parent_id = t.parent_id and w.next_child = t.child_id)
        union all
        select parent_id, next_child, last_child from wide
        on conflict (parent_id, first_child) do update set last_child = greatest(frontier.last_child, excluded.last_child)
        returning 1
    ), judged as materialized (
        select *, node_verdict(pending, ok, failed, skipped, need_ok, need_failed, max_failed, max_skipped, eager,
                               held and (role is null or role not in ('dag', 'items'))) as verdict
        from locked
    ), kept as materialized (
        select array_agg(job_id order by job_id) as ids, array_agg(pending order by job_id) as pending,
               array_agg(ok order by job_id) as ok, array_agg(failed order by job_id) as failed,
               array_agg(skipped order by job_id) as skipped, array_agg(cause_id order by job_id) as causes
        from judged
        where role is not null or verdict is distinct from 'run'
    )
    select (select ids from kept) as ids, (select pending from kept) as pending, (select ok from kept) as ok,
           (select failed from kept) as failed, (select skipped from kept) as skipped, (select causes from kept) as causes,
           array_agg(job_id) filter (where verdict = 'run' and role is null) as starting,
           array_agg(job_id) filter (where verdict is not null and not (verdict = 'run' and role is null)) as others,
           array_agg(verdict) filter (where verdict is not null and not (verdict = 'run' and role is null)) as verdicts,
           exists (select from left_over) as left_over,
           array_agg(job_id) filter (where verdict is null and role = 'items') as maps
    into decided
    from judged;
    if decided.ids is not null then
        -- By "= any", as in complete: a join might walk all of waiting, which the planner takes for empty at times.
        update waiting w
        set pending = decided.pending[width_bucket(w.job_id, decided.ids)], ok = decided.ok[width_bucket(w.job_id, decided.ids)],
            failed = decided.failed[width_bucket(w.job_id, decided.ids)],
            skipped = decided.skipped[width_bucket(w.job_id, decided.ids)],
            cause_id = decided.causes[width_bucket(w.job_id, decided.ids)]
        where w.job_id = any(decided.ids);
    end if;
    if decided.left_over and not quiet then
        perform wake_chores();
    end if;
    return carry_out(decided.starting, decided.others, decided.verdicts, decided.maps);
end
$$;
comment on function deliver is 'Tells the children of finished jobs how these ended.';
