-- list_limits(of_scope, of_name, counting): queues, kinds and groups that have a limit, a pause, or jobs that wait for their turn; see limit_states. Or only
-- the one that is named, whatever it has. Counts up to 10,000 waiting jobs of each group, fewer where groups are many; none without counting. Locks nothing.
-- roles: operator, reader
create function list_limits(of_scope text default null, of_name text default null, counting boolean default true)
returns table (
    scope text, name text, limit_name text, max_running integer, running bigint, rate integer, period interval, burst integer,
    tokens double precision, weight integer, waiting bigint, paused_until timestamptz, pause_reason text,
    break_after integer, break_within interval, break_for interval, breaker text, failures bigint, probe_at timestamptz, probe_id bigint)
language sql stable security definer set search_path from current
set jit = off
as $$
    with named as materialized (
        select of_scope as scope, of_name as name where of_name is not null
        union all
        (select l.scope, l.name from limits l where of_name is null and (l.scope <> 'group' or right(l.name, 1) <> '*')
         union select g.scope, g.name from gates g where of_name is null
         union select 'group', b.group_name from backlogs b where of_name is null and b.group_name <> ''
         union select 'group', s.group_name from slots s where of_name is null and s.group_name <> '')
    ), live as materialized (
        select s.group_name, s.kind, count(*) as n
        from slots s
        where exists (select from running r where r.job_id = s.job_id and r.attempt = s.attempt)
        group by s.group_name, s.kind
    ), runs as materialized (
        select 'kind' as scope, kind as name, sum(n)::bigint as n from live group by kind
        union all
        select 'group', group_name, sum(n)::bigint from live group by group_name
    ), lines as materialized (
        -- Of one that is named no more than are to be counted: a line has at least one job, mostly.
        select b.queue, b.group_name, b.kind, b.priority
        from backlogs b
        where of_name is null and counting
        group by b.queue, b.group_name, b.kind, b.priority
        union all
        select distinct b.*
        from queues_in_turn() q(name)
        cross join lateral (
            (select x.queue, x.group_name, x.kind, x.priority from backlogs x
             where of_scope = 'queue' and q.name = of_name and x.queue = of_name limit 10000)
            union all
            (select x.queue, x.group_name, x.kind, x.priority from backlogs x
             where of_scope = 'group' and x.queue = q.name and x.group_name = of_name limit 10000)
            union all
            (select x.queue, x.group_name, x.kind, x.priority from backlogs x
             where of_scope = 'kind' and x.queue = q.name and x.kind = of_name limit 10000)) b
        where of_name is not null and counting
    ), counted as materialized (
        select l.*, c.n
        from lines l
        cross join (select greatest(100, least(10000, 1000000 / greatest(1, count(*)))) as most from lines) m
        cross join lateral (
            select count(*) as n from (
                select from waiting w
                where w.role = 'turn' and w.queue = l.queue and w.group_name = l.group_name and w.kind = l.kind and w.priority = l.priority
                limit m.most) w) c
    ), waits as materialized (
        select 'queue' as scope, queue as name, sum(n)::bigint as n from counted group by queue
        union all
        select 'kind', kind, sum(n)::bigint from counted group by kind
        union all
        select 'group', group_name, sum(n)::bigint from counted group by group_name
    )
    select n.scope,
           n.name,
           l.name as limit_name,
           l.max_running,
           case
               when n.scope = 'queue' then (select count(*) from running r where r.queue = n.name)
               when l.max_running is not null then coalesce(r.n, 0)
           end as running,
           l.rate,
           l.period,
           l.burst,
           tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, statement_timestamp()) as tokens,
           coalesce(l.weight, case n.scope when 'group' then 1 end) as weight,
           least(coalesce(w.n, 0), 10000) as waiting,
           case when g.paused_until > statement_timestamp() then g.paused_until end as paused_until,
           case when g.paused_until > statement_timestamp() then g.pause_reason end as pause_reason,
           l.break_after,
           l.break_within,
           l.break_for,
           case
               when l.break_after is null then null
               when g.opened_at is null then 'closed'
               when g.probe_at > statement_timestamp() then 'open'
               else 'half_open'
           end as breaker,
           case when l.break_after is not null then (
               select count(*) from unnest(g.failed_at) f where f > statement_timestamp() - l.break_within) end as failures,
           case when l.break_after is not null then g.probe_at end as probe_at,
           case when l.break_after is not null then g.probe_id end as probe_id
    from named n
    left join lateral (
        select * from limits x where n.scope <> 'group' and x.scope = n.scope and x.name = n.name
        union all
        select x.* from limit_of(n.name) x where n.scope = 'group') l on true
    left join gates g on g.scope = n.scope and g.name = n.name
    left join runs r on r.scope = n.scope and r.name = n.name
    left join waits w on w.scope = n.scope and w.name = n.name
$$;
comment on function list_limits is 'What limits there are and how much of them is in use.';
