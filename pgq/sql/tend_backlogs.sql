-- tend_backlogs(at_most): what there is to do about jobs that wait for their turn besides dealing, every few seconds: adds rows of backlogs that are
-- missing, takes away double ones, full buckets and old failures. Goes on where the last call has stopped (chores.key), at_most groups and gates at a
-- time; until all groups were looked at it is due again twice a second. Internal: do_chores.
-- Locks: the advisory lock "deal", if it is free.
create function tend_backlogs(at_most integer default 2000) returns void
language plpgsql
as $$
declare
    now constant timestamptz := clock_timestamp();
    place jsonb; -- where the last call has stopped: queue, group, kind and priority; scope and name
    page record;
    gate record;
begin
    if not pg_try_advisory_xact_lock(advisory_key('deal')) then
        return;
    end if;
    select coalesce(nullif(c.key, ''), '["", "", "", 0, "", ""]')::jsonb into place from chores c where c.name = 'backlogs';
    -- From one group to the next along the index, not job by job.
    with recursive line as (
        (select w.queue, w.group_name, w.kind, w.priority, 1 as n from waiting w
         where w.role = 'turn' and (w.queue, w.group_name, w.kind, w.priority) > (place ->> 0, place ->> 1, place ->> 2, (place ->> 3)::smallint)
         order by w.queue, w.group_name, w.kind, w.priority limit 1)
        union all
        select n.*, p.n + 1
        from line p
        cross join lateral (
            select w.queue, w.group_name, w.kind, w.priority from waiting w
            where w.role = 'turn' and (w.queue, w.group_name, w.kind, w.priority) > (p.queue, p.group_name, p.kind, p.priority)
            order by w.queue, w.group_name, w.kind, w.priority limit 1) n
        where p.n < at_most
    )
    select array_agg(p.queue order by p.n) as queues, array_agg(p.group_name order by p.n) as groups, array_agg(p.kind order by p.n) as kinds,
           array_agg(p.priority order by p.n) as priorities, count(*) as n
    into page from line p;
    if page.n > 0 then
        perform add_backlogs(page.queues, page.groups, page.kinds, page.priorities);
        delete from backlogs b
        where b.ctid = any(array(
            select x.tid
            from unnest(page.queues, page.groups, page.kinds, page.priorities) u(queue, group_name, kind, priority)
            cross join lateral (
                select y.ctid as tid, row_number() over (order by y.emptied_at is null desc, y.turn desc) as n from backlogs y
                where y.queue = u.queue and y.group_name = u.group_name and y.kind = u.kind and y.priority = u.priority offset 0) x
            where x.n > 1));
    end if;
    with looked as materialized (
        select g.ctid as tid, g.scope, g.name,
               coalesce(g.paused_until, '-infinity') <= now
               and g.opened_at is null
               and not exists (select from breaker_of(g.scope, g.name) b where g.failed_at[cardinality(g.failed_at)] > now - b.break_within)
               and not exists (
                   select from (select * from limits l where g.scope <> 'group' and l.scope = g.scope and l.name = g.name
                                union all
                                select l.* from limit_of(g.name) l where g.scope = 'group') l
                   where tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, now) < coalesce(l.burst, l.rate)) as useless
        from (select x.ctid, x.* from gates x where (x.scope, x.name) > (place ->> 4, place ->> 5) order by x.scope, x.name limit at_most) g
    ), gone as (
        delete from gates g where g.ctid = any(array(select l.tid from looked l where l.useless))
    )
    select count(*) as n, (array_agg(l.scope order by l.scope, l.name))[at_most] as scope, (array_agg(l.name order by l.scope, l.name))[at_most] as name
    into gate from looked l;
    update chores c
    set key = jsonb_build_array(coalesce(page.queues[at_most], ''), coalesce(page.groups[at_most], ''), coalesce(page.kinds[at_most], ''),
                                coalesce(page.priorities[at_most], 0), coalesce(gate.scope, ''), coalesce(gate.name, ''))::text,
        last_run_at = case when page.n < at_most then c.last_run_at else least(c.last_run_at, now - interval '4.5 s') end
    where c.name = 'backlogs' and (c.key <> '' or page.n = at_most or gate.n = at_most);
end
$$;
comment on function tend_backlogs is 'Keeps the list of groups whose jobs wait for their turn complete.';
