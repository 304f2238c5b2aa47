-- deal_round(queue_name, wanted, kinds, worst, ages, at, at_most): a round of deal among the groups that are first in line, at_most of them: each has as many turns as would
-- be its share. counted: whether they have slots. seen: how many there were; 0: there is nobody whose turn it could be. Each of them has got on, is parked, or is held up by a kind that has
-- no room any more, so that the next round finds others. Internal: deal.
create function deal_round(
    queue_name text, wanted integer, kinds text[], worst smallint, ages interval, at timestamptz, at_most integer,
    out job_ids bigint[], out attempts integer[], out counted boolean[], out seen integer)
language plpgsql
set enable_hashjoin = on -- of what was looked at; all tables are looked into row by row
as $$
#variable_conflict use_column
declare
    limited constant boolean := exists (select from limits where scope = 'group');
    gated constant boolean := exists (select from gates where scope = 'group');
    round record;
begin
    with pairs as materialized (
        select p.kind, p.priority from kinds_in_line(queue_name) p
        where (deal_round.kinds is null or p.kind = any(deal_round.kinds)) and p.priority <= coalesce(worst, 9)
    ), kind_rooms as materialized (
        select k.kind, l.max_running is not null as counts,
               least(
                   l.max_running - case when l.max_running is not null then (select count(*) from slots s where s.kind = k.kind) end,
                   floor(tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, deal_round.at)),
                   gate_room(g.paused_until, g.opened_at, g.probe_at, g.probe_id, deal_round.at))::integer as room
        from (select distinct kind from pairs) k
        left join lateral (select * from limits x where x.scope = 'kind' and x.name = k.kind offset 0) l on true
        left join lateral (select * from gates x where x.scope = 'kind' and x.name = k.kind offset 0) g on true
    ), firsts as materialized (
        select f.group_name, min(f.turn) as turn
        from (select b.group_name, b.turn
              from pairs p
              join kind_rooms k on k.kind = p.kind and coalesce(k.room, 1) > 0
              cross join lateral (
                  select x.group_name, x.turn from backlogs x
                  where x.queue = queue_name and x.kind = p.kind and x.priority = p.priority and x.parked_until is null
                  order by x.turn, x.group_name
                  limit least(at_most, k.room)) b
              order by b.turn, b.group_name
              limit at_most) f
        group by f.group_name
    ), players as materialized (
        select f.group_name, t.turn, greatest(t.turn, c.at) as start, coalesce(l.weight, 1) as weight, l.max_running is not null as counts,
               v.seats, r.room,
               t.turn > f.turn and t.turn > c.at as stale, -- a row that was added since the group had this turn: it is not its turn yet
               case
                   when v.seats <= 0 or g.probe_id is not null then deal_round.at + interval '5 min' -- a vacancy comes before that
                   else greatest(deal_round.at + interval '1 ms', g.paused_until, g.probe_at, deal_round.at + (1 - v.tokens) / l.rate * l.period)
               end as until
        from firsts f
        cross join (select coalesce((select time from clocks where queue = queue_name), 0) as at) c
        cross join lateral (select max(b.turn) as turn from backlogs b where b.queue = queue_name and b.group_name = f.group_name offset 0) t
        left join lateral limit_of(f.group_name) l on limited
        left join lateral (select * from gates x where x.scope = 'group' and x.name = f.group_name and gated offset 0) g on true
        cross join lateral (
            select l.max_running - case when l.max_running is not null then (select count(*) from slots s where s.group_name = f.group_name) end as seats,
                   tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, deal_round.at) as tokens
            offset 0) v
        cross join lateral (
            select least(wanted, v.seats, floor(v.tokens), gate_room(g.paused_until, g.opened_at, g.probe_at, g.probe_id, deal_round.at)) as room) r
    ), shares as materialized (
        select p.*, least(p.room, ceil(wanted::numeric / count(*) over ()) * p.weight)::integer as share
        from players p where p.room > 0 and not p.stale
    ), hands as materialized (
        select p.group_name, p.share, p.weight, k.kind, k.room, p.counts or k.counts as counts, w.*,
               p.start + row_number() over (partition by p.group_name order by a.due, w.priority, w.seq)::float8 / p.weight as finish,
               row_number() over (partition by p.group_name order by a.due, w.priority, w.seq) as place
        from shares p
        cross join lateral (
            select distinct b.kind, case when ages is not null then b.priority end as priority -- each priority by itself, where jobs age
            from backlogs b where b.queue = queue_name and b.group_name = p.group_name and b.emptied_at is null) n
        join kind_rooms k on k.kind = n.kind and coalesce(k.room, 1) > 0
        cross join lateral (
            select x.ctid as tid, x.job_id, x.attempt + 1 as attempt, x.priority, x.seq, x.since
            from waiting x
            where x.role = 'turn' and x.queue = queue_name and x.group_name = p.group_name and x.kind = n.kind
              and not x.held and x.priority between coalesce(n.priority, 0) and coalesce(n.priority, worst, 9)
            order by x.priority, x.seq
            limit p.share
            for update skip locked) w
        left join lateral (
            select coalesce(w.since, (select created_at from jobs where id = w.job_id)) + w.priority * ages as due where ages is not null offset 0) a on true
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
    ), looked as (
        -- By grouping, since a join would compare each group with each other one: how many there are is not foreseen.
        select g.group_name,
               coalesce(max(g.finish), max(g.turn) filter (where g.stale)) as turn,
               case when bool_or(g.blocked) then max(g.until) when max(g.seats) <= count(g.finish) then deal_round.at + interval '5 min' end as until,
               not bool_or(g.blocked or g.stale or g.in_hand) as vain
        from (select p.group_name, p.turn, p.stale, p.room <= 0 as blocked, p.seats, p.until, null::float8 as finish, false as in_hand from players p
              union all
              select h.group_name, null, false, false, null, null, null, true from hands h
              union all
              select d.group_name, null, false, false, null, null, d.finish, true from dealt d) g
        group by g.group_name
    )
    select * into round
    from (select array_agg(job_id order by finish, group_name) as job_ids, array_agg(attempt order by finish, group_name) as attempts,
                 array_agg(group_name order by finish, group_name) as groups, array_agg(kind order by finish, group_name) as kinds,
                 array_agg(counts order by finish, group_name) as counted, max(finish - 1 / weight::float8) as started
          from dealt) d
    cross join (
          select count(*) as n, array_agg(group_name order by group_name) as looked, array_agg(turn order by group_name) as turns,
                 array_agg(until order by group_name) as untils, array_agg(vain order by group_name) as vain
          from looked) l;
    job_ids := round.job_ids;
    attempts := round.attempts;
    counted := round.counted;
    seen := round.n;
    if seen > 0 then
        perform park(queue_name, round.looked, round.turns, round.untils, round.vain);
    end if;
    if job_ids is null then
        return;
    end if;
    insert into clocks as c (queue, time) values (queue_name, round.started)
    on conflict (queue) do update set time = excluded.time where c.time < excluded.time;
    if exists (select from limits l where l.rate is not null) then
        perform spend(array_agg(s.scope), array_agg(s.name), array_agg(s.n), deal_round.at)
        from (select 'group' as scope, g.name, count(*) as n from unnest(round.groups) g(name) where g.name <> '' group by g.name
              union all
              select 'kind', k.name, count(*) from unnest(round.kinds) k(name) group by k.name) s;
    end if;
    if exists (select from gates g where g.opened_at is not null) then
        update gates g set (probe_id, probe_attempt) = (d.job_id, d.attempt)
        from unnest(round.job_ids, round.attempts, round.groups, round.kinds) d(job_id, attempt, group_name, kind)
        where g.probe_at <= deal_round.at and g.probe_id is null and g.scope <> 'queue' and g.name = case g.scope when 'group' then d.group_name else d.kind end;
    end if;
end
$$;
comment on function deal_round is 'A round of dealing.';
