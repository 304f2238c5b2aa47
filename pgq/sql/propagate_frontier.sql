-- propagate_frontier(at_most): tells children of finished jobs that were left over: those whose rows were locked by
-- others at the time, those of wide jobs, and those that follow long chains. Expands maps. Returns how many
-- entries it took off: 0 when there is none, or what they lead to is locked by others at the moment. Any worker's chore.
-- Locks: the chores (0 if others have them); rows of frontier, then what deliver locks; waits for none of them.
create function propagate_frontier(at_most integer default 500) returns integer
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    taken record;
    finished bigint[];
    map_id bigint;
begin
    if not pg_try_advisory_xact_lock(advisory_key('chores')) then
        return 0;
    end if;
    with picked as materialized (
        select ctid as tid, parent_id, sum(least(last_child - first_child, 5000) + 1) over (order by parent_id, first_child)
                    - least(last_child - first_child, 5000) as before
        from (select ctid, * from frontier order by parent_id, first_child limit at_most for update skip locked) f
    ), removed as (
        delete from frontier where ctid = any(array(select tid from picked where before <= 10000)) returning *
    )
    select array_agg(parent_id order by parent_id, first_child) as parents,
           array_agg(first_child order by parent_id, first_child) as firsts,
           array_agg(last_child order by parent_id, first_child) as lasts,
           count(*) as n
    into taken
    from removed;
    if taken.parents is null then
        return 0;
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
