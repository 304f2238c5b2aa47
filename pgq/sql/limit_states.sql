-- limit_states: queues, kinds and groups that have a limit, a pause, or jobs that wait for their turn, with how much of it is in use. limit_name:
-- the limit that holds for it, null: none does. waiting counts up to 10,000 jobs; those of a queue that are ready are not among them.
-- A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view limit_states as
with named as (
    select l.scope, l.name from limits l where right(l.name, 1) <> '*'
    union select g.scope, g.name from gates g
    union select 'group', b.group_name from backlogs b where b.group_name <> ''
    union select 'group', s.group_name from slots s where s.group_name <> ''
), live as materialized (
    select s.group_name, s.kind, count(*) as n
    from slots s
    where exists (select from running r where r.job_id = s.job_id and r.attempt = s.attempt)
    group by s.group_name, s.kind
)
select n.scope,
       n.name,
       l.name as limit_name,
       l.max_running,
       case
           when n.scope = 'queue' then (select count(*) from running r where r.queue = n.name)
           when l.max_running is null then null
           when n.scope = 'kind' then (select coalesce(sum(v.n), 0)::bigint from live v where v.kind = n.name)
           else (select coalesce(sum(v.n), 0)::bigint from live v where v.group_name = n.name)
       end as running,
       l.rate,
       l.period,
       l.burst,
       tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, statement_timestamp()) as tokens,
       coalesce(l.weight, case n.scope when 'group' then 1 end) as weight,
       (select count(*) from (
           select from (select distinct b.queue, b.group_name, b.kind from backlogs b
                        where case n.scope when 'queue' then b.queue when 'kind' then b.kind else b.group_name end = n.name) b
           cross join lateral (
               select from waiting w
               where w.role = 'turn' and w.queue = b.queue and w.group_name = b.group_name and w.kind = b.kind
               limit 10000) w
           limit 10000) c) as waiting,
       case when g.paused_until > statement_timestamp() then g.paused_until end as paused_until,
       case when g.paused_until > statement_timestamp() then g.pause_reason end as pause_reason
from named n
left join lateral (
    select * from limits x where n.scope <> 'group' and x.scope = n.scope and x.name = n.name
    union all
    select x.* from limit_of(n.name) x where n.scope = 'group') l on true
left join gates g on g.scope = n.scope and g.name = n.name;
comment on view limit_states is 'What limits there are and how much of them is in use.';
comment on column limit_states.scope is 'What is limited: queue, kind or group.';
comment on column limit_states.name is 'Which one.';
comment on column limit_states.limit_name is 'The limit that holds for it; null: none does.';
comment on column limit_states.max_running is 'How many of its jobs may run at a time.';
comment on column limit_states.running is 'How many run, where that is limited; of a queue always.';
comment on column limit_states.rate is 'How many may start per period.';
comment on column limit_states.period is 'In what time.';
comment on column limit_states.burst is 'How many at once after a rest; null: as many as rate says.';
comment on column limit_states.tokens is 'How many may start now.';
comment on column limit_states.weight is 'How many turns the group gets where others get one.';
comment on column limit_states.waiting is 'How many jobs wait for their turn, counted up to 10,000.';
comment on column limit_states.paused_until is 'Until when none starts.';
comment on column limit_states.pause_reason is 'Why.';
