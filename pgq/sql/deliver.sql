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
    at_once constant integer := 5000; -- children of one parent
    lasts bigint[] := last_children;
    mapping bigint[] := '{}'; -- children of which the items alone count
    missed bigint[];
    put_off boolean := false;
    news record;
    judged record;
begin
    loop
        select array_agg(child_id) as children, array_agg(pending) as pending, array_agg(ok) as ok, array_agg(failed) as failed,
               array_agg(skipped) as skipped, array_agg(cause_id) as causes, sum(pending) as edges
        into news
        from (
            select child_id, count(*)::integer as pending,
                   (count(*) filter (where outcome = 'ok'))::integer as ok,
                   (count(*) filter (where outcome = 'failed'))::integer as failed,
                   (count(*) filter (where outcome = 'skipped'))::integer as skipped,
                   coalesce(min(cause_id) filter (where outcome = 'failed'), 0) as cause_id
            from (
                select e.child_id, coalesce(f.cause_id, f.job_id) as cause_id,
                       edge_outcome(f.state, f.cause_id, f.output, e.soft, e.condition) as outcome
                from unnest(parents, first_children, lasts) p(id, first_child, last_child)
                cross join lateral (select * from results where job_id = p.id offset 0) f
                cross join lateral (
                    select * from edges
                    where parent_id = f.job_id and child_id between p.first_child and p.last_child
                    order by child_id
                    limit at_once + 1) e
                where e.child_id <> all(mapping) or is_item(f.job_id, e.child_id)
                offset 0) told
            group by child_id
            order by child_id) by_child;
        if news.children is null then
            return '{}';
        end if;
        if news.edges > at_once and lasts = last_children then
            lasts := put_off_wide(parents, first_children, last_children, at_once);
            put_off := lasts <> last_children;
            continue when put_off;
        end if;
        select count(*) as locked, array_agg(job_id) as ids,
               array_agg(job_id) filter (where kept) as kept, array_agg(pending) filter (where kept) as pending,
               array_agg(ok) filter (where kept) as ok, array_agg(failed) filter (where kept) as failed,
               array_agg(skipped) filter (where kept) as skipped, array_agg(cause_id) filter (where kept) as causes,
               array_agg(job_id) filter (where verdict = 'run' and role is null) as starting,
               array_agg(job_id) filter (where verdict is not null and kept) as others,
               array_agg(verdict) filter (where verdict is not null and kept) as verdicts,
               array_agg(job_id) filter (where verdict is null and role = 'items') as maps,
               -- A map under way waits for its items only; an external node that was reached, or a job that waits for its turn, for no parents any more.
               array_agg(job_id) filter (where role in ('items', 'signal', 'turn') and job_id <> all(mapping)) as mapping
        into judged
        from (
            select *, role is not null or verdict is distinct from 'run' as kept
            from (
                select *, node_verdict(pending, ok, failed, skipped, need_ok, need_failed, max_failed, max_skipped, eager,
                                       held and (role is null or role not in ('dag', 'items'))) as verdict
                from (
                    select job_id, role, held, need_ok, need_failed, max_failed, max_skipped, eager,
                           pending - news.pending[n] as pending, ok + news.ok[n] as ok, failed + news.failed[n] as failed,
                           skipped + news.skipped[n] as skipped, coalesce(cause_id, nullif(news.causes[n], 0)) as cause_id
                    from (
                        select *, width_bucket(job_id, news.children) as n
                        from waiting
                        where job_id = any(news.children)
                        order by job_id
                        for no key update skip locked) locked
                    offset 0) counted
                offset 0) judged) kept;
        exit when judged.mapping is null;
        mapping := mapping || judged.mapping;
    end loop;
    if judged.kept is not null then
        -- By "= any", as in complete: a join might walk all of waiting, which the planner takes for empty at times.
        update waiting
        set pending = judged.pending[width_bucket(job_id, judged.kept)], ok = judged.ok[width_bucket(job_id, judged.kept)],
            failed = judged.failed[width_bucket(job_id, judged.kept)],
            skipped = judged.skipped[width_bucket(job_id, judged.kept)],
            cause_id = judged.causes[width_bucket(job_id, judged.kept)]
        where job_id = any(judged.kept);
    end if;
    if judged.locked < cardinality(news.children) then
        missed := array(select unnest(news.children) except select unnest(judged.ids));
        put_off := put_off_missed(parents, first_children, lasts, missed) or put_off;
    end if;
    if put_off and not quiet then
        perform wake_chores();
    end if;
    return carry_out(judged.starting, judged.others, judged.verdicts, judged.maps);
end
$$;
comment on function deliver is 'Tells the children of finished jobs how these ended.';
