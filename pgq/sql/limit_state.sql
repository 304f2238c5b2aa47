-- limit_state(of_scope, of_name, at_most): one row: what limits a queue, a kind or a group, if anything, and how much of it is in use; see limit_states.
-- Counts so many waiting jobs at most; none with 0.
-- Some look-ups, and one for each of its jobs that run and wait. Raises PQ001 for a scope that is none. Locks nothing.
-- roles: operator, reader
create function limit_state(of_scope text, of_name text, at_most integer default 10000)
returns table (
    scope text, name text, limit_name text, max_running integer, running bigint, rate integer, period interval, burst integer,
    tokens double precision, weight integer, waiting bigint, paused_until timestamptz, pause_reason text,
    break_after integer, break_within interval, break_for interval, breaker text, failures bigint, probe_at timestamptz, probe_id bigint,
    state text, exact boolean, paused_by text)
language plpgsql stable rows 1 security definer set search_path from current
set jit = off set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    if of_scope is null or of_scope not in ('queue', 'kind', 'group') then
        perform invalid('of_scope', 'must be queue, kind or group');
    end if;
    perform within('at_most', at_most, 0, 1000000);
    return query
        select of_scope,
               of_name,
               l.name,
               l.max_running,
               r.running,
               l.rate,
               l.period,
               l.burst,
               t.tokens,
               coalesce(l.weight, case of_scope when 'group' then 1 end),
               w.waiting,
               case when p.paused then g.paused_until end,
               case when p.paused then g.pause_reason end,
               l.break_after,
               l.break_within,
               l.break_for,
               b.breaker,
               case when b.breaker is not null then (
                   select count(*) from unnest(g.failed_at) f where f > statement_timestamp() - l.break_within) end,
               case when b.breaker is not null then g.probe_at end,
               case when b.breaker is not null then g.probe_id end,
               case
                   when p.paused then 'paused'
                   when b.breaker = 'open' or b.breaker = 'half_open' and g.probe_id is not null then 'broken'
                   when r.running >= l.max_running or t.tokens < 1 then 'full'
                   else 'free'
               end,
               w.waiting < at_most,
               case when p.paused then g.paused_by end
        from (select) one
        left join lateral (
            select * from limits x where of_scope <> 'group' and x.scope = of_scope and x.name = of_name
            union all
            select x.* from limit_of(of_name) x where of_scope = 'group') l on true
        left join gates g on g.scope = of_scope and g.name = of_name
        cross join lateral (select coalesce(g.paused_until > statement_timestamp(), false) as paused) p
        cross join lateral (select tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, statement_timestamp()) as tokens) t
        cross join lateral (
            select case
                when l.break_after is null then null
                when g.opened_at is null then 'closed'
                when g.probe_at > statement_timestamp() then 'open'
                else 'half_open'
            end as breaker) b
        cross join lateral (
            select case
                when of_scope = 'queue' then (select count(*) from running x where x.queue = of_name)
                when l.max_running is null then null
                else (
                    select count(*)
                    from (select s.job_id, s.attempt from slots s where of_scope = 'kind' and s.kind = of_name
                          union all
                          select s.job_id, s.attempt from slots s where of_scope = 'group' and s.group_name = of_name) s
                    where exists (select from running x where x.job_id = s.job_id and x.attempt = s.attempt offset 0))
            end as running) r
        cross join lateral (
            select count(*) as waiting
            from (
                (select from waiting x where of_scope = 'queue' and x.role = 'turn' and x.queue = of_name limit at_most)
                union all
                (select from queues_in_turn() q
                 cross join lateral (select from waiting x where x.role = 'turn' and x.queue = q and x.group_name = of_name limit at_most) x
                 where of_scope = 'group')
                union all
                -- A line has a job at least, mostly.
                (select from queues_in_turn() q
                 cross join lateral (
                     select distinct x.group_name, x.kind, x.priority from backlogs x
                     where x.queue = q and x.kind = of_name and x.emptied_at is null limit at_most) b
                 cross join lateral (
                     select from waiting x
                     where x.role = 'turn' and x.queue = q and x.group_name = b.group_name and x.kind = b.kind and x.priority = b.priority limit at_most) x
                 where of_scope = 'kind')
                limit at_most) x) w;
end
$$;
comment on function limit_state is 'What limits a queue, a kind or a group, and how much of it is in use.';
