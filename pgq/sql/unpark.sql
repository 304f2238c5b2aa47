-- unpark(queue_name, at_most): puts groups back in line for which there may be room: those of vacancies, in all queues, and those of this queue whose time
-- has come; at_most of each. Where there was no job of a group, one may have been committed since by somebody who did not add a
-- row, having seen this one: it is looked for after 50 ms and after a second, then the row goes. Internal: deal, under its lock.
create function unpark(queue_name text, at_most integer) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    now constant timestamptz := clock_timestamp();
    many record;
    page text[];
    groups text[];
begin
    if exists (select from vacancies) then
        with gone as (
            delete from vacancies v
            where v.ctid = any(array(select x.ctid from vacancies x where right(x.group_name, 1) <> '*' limit at_most))
            returning v.group_name
        )
        select coalesce(array_agg(distinct g.group_name), '{}') into groups from gone g;
        select v.ctid as tid, rtrim(v.group_name, '*') as prefix, v.after into many
        from vacancies v where right(v.group_name, 1) = '*' limit 1;
        if found then
            page := array(
                select distinct b.group_name from backlogs b
                where b.parked_until is not null and b.emptied_at is null and b.group_name >= many.prefix and b.group_name > many.after
                order by b.group_name limit at_most);
            groups := groups || array(select g from unnest(page) g where starts_with(g, many.prefix));
            if cardinality(page) < at_most or not starts_with(page[at_most], many.prefix) then
                delete from vacancies v where v.ctid = many.tid;
            else
                update vacancies v set after = page[at_most] where v.ctid = many.tid;
            end if;
        end if;
        update backlogs b set parked_until = null
        where b.ctid = any(array(
            select x.tid from unnest(groups) g(name)
            cross join lateral (
                select y.ctid as tid from backlogs y
                where y.group_name = g.name and y.parked_until is not null and y.emptied_at is null offset 0) x));
    end if;
    with due as materialized (
        select b.ctid as tid, b.emptied_at,
               b.emptied_at is null or exists (
                   select from waiting w
                   where w.role = 'turn' and w.queue = b.queue and w.group_name = b.group_name and w.kind = b.kind and w.priority = b.priority
                   offset 0) as in_line
        from (select x.ctid, x.* from backlogs x
              where x.queue = queue_name and x.parked_until <= now order by x.parked_until limit at_most) b
    ), gone as (
        delete from backlogs b
        where b.ctid = any(array(select d.tid from due d where not d.in_line and d.emptied_at <= now - interval '1 s'))
    ), kept as (
        update backlogs b set parked_until = b.emptied_at + interval '1 s'
        where b.ctid = any(array(select d.tid from due d where not d.in_line and d.emptied_at > now - interval '1 s'))
    )
    update backlogs b set parked_until = null, emptied_at = null
    where b.ctid = any(array(select d.tid from due d where d.in_line));
end
$$;
comment on function unpark is 'Puts groups back in line for which there may be room.';
