-- deal_round(queue_name, wanted, kinds, worst, done): a round of deal among the groups that are not in done: each has as many turns as would
-- be its share. dry: groups that have no more jobs for this deal. Null arrays: there is nobody whose turn it could be. Internal: deal.
create function deal_round(
    queue_name text, wanted integer, kinds text[], worst smallint, done text[],
    out job_ids bigint[], out attempts integer[], out dry text[])
language plpgsql
set enable_hashjoin = on
as $$
#variable_conflict use_column
declare
    now constant timestamptz := clock_timestamp();
    round record;
begin
    with lines as materialized (
        select b.group_name, b.kind, max(b.turn) as turn
        from backlogs b
        where b.queue = queue_name and (deal_round.kinds is null or b.kind = any(deal_round.kinds))
        group by b.group_name, b.kind
    ), clock as materialized (
        select coalesce(max(started), 0) as at from backlogs where queue = queue_name
    ), seats as materialized (
        select group_name, kind, count(*) as n from slots group by group_name, kind
    ), players as materialized (
        select p.group_name, p.kinds, greatest(coalesce(p.turn, c.at), c.at) as start, coalesce(l.weight, 1) as weight,
               l.max_running is not null as counts,
               least(r.room, ceil(wanted::numeric / count(*) over ()) * coalesce(l.weight, 1))::integer as share
        from (select group_name, max(turn) as turn, array_agg(kind) as kinds from lines where group_name <> all(done) group by group_name) p
        cross join clock c
        left join lateral limit_of(p.group_name) l on true
        left join (select group_name, sum(n) as n from seats group by group_name) s on s.group_name = p.group_name
        left join gates g on g.scope = 'group' and g.name = p.group_name
        cross join lateral (
            select least(
                wanted,
                l.max_running - coalesce(s.n, 0),
                floor(tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, now)),
                gate_room(g.paused_until, g.opened_at, g.probe_at, g.probe_id, now)) as room) r
        where r.room > 0
        order by start, group_name
        limit wanted
    ), kind_rooms as materialized (
        select k.kind, l.max_running is not null as counts,
               least(
                   l.max_running - coalesce((select sum(s.n) from seats s where s.kind = k.kind), 0),
                   floor(tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, now)),
                   gate_room(g.paused_until, g.opened_at, g.probe_at, g.probe_id, now)) as room
        from (select distinct kind from lines) k
        left join limits l on l.scope = 'kind' and l.name = k.kind
        left join gates g on g.scope = 'kind' and g.name = k.kind
    ), hands as materialized (
        select p.group_name, p.share, p.weight, k.kind, k.room, p.counts or k.counts as counts, w.*,
               p.start + row_number() over (partition by p.group_name order by w.priority, w.seq)::float8 / p.weight as finish,
               row_number() over (partition by p.group_name order by w.priority, w.seq) as place
        from players p
        cross join unnest(p.kinds) n(kind)
        join kind_rooms k on k.kind = n.kind and coalesce(k.room, 1) > 0
        cross join lateral (
            select x.ctid as tid, x.job_id, x.attempt + 1 as attempt, x.priority, x.seq
            from waiting x
            where x.role = 'turn' and x.queue = queue_name and x.group_name = p.group_name and x.kind = n.kind
              and not x.held and x.priority <= coalesce(worst, 9)
            order by x.priority, x.seq
            limit p.share
            for update skip locked) w
    ), allowed as (
        select *, row_number() over (partition by kind order by finish, group_name) as of_kind from hands where place <= share
    ), dealt as materialized (
        select * from allowed where room is null or of_kind <= room order by finish, group_name limit wanted
    ), taken as (
        delete from waiting w where w.ctid = any(array(select tid from dealt))
    ), seated as (
        insert into slots (job_id, attempt, group_name, kind)
        select job_id, attempt, group_name, kind from dealt where counts
        on conflict (job_id) do update set attempt = excluded.attempt, group_name = excluded.group_name, kind = excluded.kind
    ), turned as (
        update backlogs b set turn = d.turn, started = d.started, dealt_at = now
        from (select group_name, max(finish) as turn, max(finish - 1 / weight::float8) as started from dealt group by group_name) d
        where b.queue = queue_name and b.group_name = d.group_name
    ), short as (
        select p.group_name
        from (select group_name, share from players union all select group_name, -1 from dealt) p
        group by p.group_name having sum(p.share) > 0
    )
    select array_agg(d.job_id order by d.finish, d.group_name) as job_ids, array_agg(d.attempt order by d.finish, d.group_name) as attempts,
           array_agg(d.group_name order by d.finish, d.group_name) as groups, array_agg(d.kind order by d.finish, d.group_name) as kinds,
           (select array_agg(group_name) from short) as dry
    into round
    from dealt d;
    job_ids := round.job_ids;
    attempts := round.attempts;
    dry := round.dry;
    if exists (select from limits l where l.rate is not null) then
        perform spend(array_agg(s.scope), array_agg(s.name), array_agg(s.n))
        from (select 'group' as scope, g.name, count(*) as n from unnest(round.groups) g(name) where g.name <> '' group by g.name
              union all
              select 'kind', k.name, count(*) from unnest(round.kinds) k(name) group by k.name) s;
    end if;
    if job_ids is not null and exists (select from gates g where g.opened_at is not null) then
        update gates g set (probe_id, probe_attempt) = (d.job_id, d.attempt)
        from unnest(round.job_ids, round.attempts, round.groups, round.kinds) d(job_id, attempt, group_name, kind)
        where g.probe_at <= now and g.probe_id is null and g.scope <> 'queue' and g.name = case g.scope when 'group' then d.group_name else d.kind end;
    end if;
end
$$;
comment on function deal_round is 'A round of dealing.';
