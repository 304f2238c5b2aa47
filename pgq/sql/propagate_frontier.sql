-- propagate_frontier(at_most): tells children of finished jobs that were left over: those whose rows were locked by
-- others at the time, those of wide jobs, and those that follow long chains. Expands maps. Returns how many
-- entries it took off: 0 when there is none, or what they lead to is locked by others at the moment. Any worker's chore.
-- Locks: the chores (0 if others have them); rows of frontier, then what deliver locks; waits for none of them.
-- roles: worker, operator
create function propagate_frontier(at_most integer default 500) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
declare
    taken record;
    finished bigint[];
    map_id bigint;
    start bigint;
begin
    if not pg_try_advisory_xact_lock(advisory_key('chores')) then
        return 0;
    end if;
    select position into start from chores where name = 'propagate';
    with picked as materialized (
        select f.tid, sum(w.edges) over (order by f.parent_id, f.first_child) - w.edges as before
        from (select ctid as tid, * from frontier
              where parent_id > start
              order by parent_id, first_child limit within('at_most', at_most, 0, 1000000) for update skip locked) f
        cross join lateral (
            select count(*) as edges
            from (select from edges e
                  where e.parent_id = f.parent_id and e.child_id between f.first_child and f.last_child
                  limit 5001) e) w
    ), removed as (
        delete from frontier where ctid = any(array(select tid from picked where before <= 10000)) returning *
    )
    select array_agg(parent_id order by parent_id, first_child) as parents,
           array_agg(first_child order by parent_id, first_child) as firsts,
           array_agg(last_child order by parent_id, first_child) as lasts,
           count(*) as n
    into taken
    from removed;
    -- Goes on behind them the next time, so that entries that lead to a locked row do not keep others from their turn.
    update chores set position = coalesce(taken.parents[taken.n], 0) where name = 'propagate' and position <> coalesce(taken.parents[taken.n], 0);
    if taken.parents is null then
        return case when start > 0 and exists (select from frontier) then propagate_frontier(at_most) else 0 end;
    end if;
    -- Maps that are being expanded stand in the frontier with themselves as their child.
    for map_id in select p from unnest(taken.parents, taken.firsts) u(p, c) where p = c loop
        perform expand_map(map_id);
    end loop;
    perform doom_dags(taken.parents);
    finished := deliver(taken.parents, taken.firsts, taken.lasts, true);
    if finished <> '{}' then
        perform doom_dags(finished);
        perform propagate(finished);
    end if;
    -- What was put back is behind a row that somebody has locked, or is the rest of a wide parent.
    return taken.n - (select count(*) from frontier u where (u.parent_id, u.first_child) in (
        select * from unnest(taken.parents, taken.firsts)));
end
$$;
comment on function propagate_frontier is 'Tells children of finished jobs that were left over.';
