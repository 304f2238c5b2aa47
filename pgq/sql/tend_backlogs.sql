-- tend_backlogs(): what there is to do about jobs that wait for their turn besides dealing, every few seconds: adds rows of backlogs that are
-- missing, takes away double ones, full buckets and old failures. Internal: do_chores.
-- Locks: the advisory lock "deal", if it is free.
create function tend_backlogs() returns void
language plpgsql
as $$
begin
    if not pg_try_advisory_xact_lock(advisory_key('deal')) then
        return;
    end if;
    -- From one group to the next along the index, not job by job.
    perform add_backlogs(array_agg(p.queue), array_agg(p.group_name), array_agg(p.kind))
    from (
        with recursive place as (
            (select w.queue, w.group_name, w.kind from waiting w where w.role = 'turn' order by w.queue, w.group_name, w.kind limit 1)
            union all
            select n.*
            from place p
            cross join lateral (
                select w.queue, w.group_name, w.kind from waiting w
                where w.role = 'turn' and (w.queue, w.group_name, w.kind) > (p.queue, p.group_name, p.kind)
                order by w.queue, w.group_name, w.kind limit 1) n
        )
        select * from place) p
    having count(*) > 0;
    delete from backlogs b
    where exists (
        select from backlogs o
        where o.queue = b.queue and o.group_name = b.group_name and o.kind = b.kind
          and (coalesce(o.turn, 0), o.ctid) > (coalesce(b.turn, 0), b.ctid));
    delete from gates g
    where coalesce(g.paused_until, '-infinity') <= clock_timestamp()
      and g.opened_at is null
      and not exists (
          select from breaker_of(g.scope, g.name) b where g.failed_at[cardinality(g.failed_at)] > clock_timestamp() - b.break_within)
      and not exists (
          select from (select * from limits l where g.scope <> 'group' and l.scope = g.scope and l.name = g.name
                       union all
                       select l.* from limit_of(g.name) l where g.scope = 'group') l
          where tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, clock_timestamp()) < coalesce(l.burst, l.rate));
end
$$;
comment on function tend_backlogs is 'Keeps the list of groups whose jobs wait for their turn complete.';
