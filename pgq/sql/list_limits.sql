-- list_limits(of_scope, after_scope, after_name, at_most, without_room): what limit_states shows, by scope and name, after the given ones, of one scope (queue,
-- kind, group; null: of any); with without_room only those of which no job may start now. Reads as much as a page needs, however many groups there are; of
-- those without room it looks at all that have a limit, a pause or running jobs that count.
-- Raises PQ001 for a scope that is none. Locks nothing.
-- roles: operator, reader
create function list_limits(
    of_scope text default null, after_scope text default '', after_name text default '', at_most integer default 1000, without_room boolean default false)
returns setof limit_states
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    behind constant text := case when after_scope > 'group' then null when after_scope = 'group' then after_name else '' end; -- groups are
begin
    if of_scope not in ('queue', 'kind', 'group') then
        perform invalid('of_scope', 'must be queue, kind or group');
    elsif at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query
        select s.*
        from (
            (select l.scope, l.name from limits l
             where (l.scope, l.name) > (coalesce(after_scope, ''), coalesce(after_name, '')) and (l.scope <> 'group' or right(l.name, 1) <> '*')
               and (of_scope is null or l.scope = of_scope)
             order by l.scope, l.name limit case when not without_room then at_most end)
            union
            (select g.scope, g.name from gates g
             where (g.scope, g.name) > (coalesce(after_scope, ''), coalesce(after_name, '')) and (of_scope is null or g.scope = of_scope)
               and (g.paused_until > statement_timestamp() or g.scope = 'group' and exists (select from limit_of(g.name)))
             order by g.scope, g.name limit case when not without_room then at_most end)
            union
            (select distinct 'group', x.group_name from slots x
             where x.group_name > behind
             order by x.group_name limit case when not without_room then at_most end)
            union
            (select 'group', x.group_name
             from queues_in_turn() q
             cross join lateral (
                 select distinct b.group_name from backlogs b
                 where b.queue = q and b.group_name > behind
                 order by b.group_name limit at_most) x
             where not without_room)
            order by scope, name) n
        cross join lateral limit_state(n.scope, n.name, greatest(100, 500000 / at_most)) s
        where (of_scope is null or n.scope = of_scope) and (not without_room or s.state <> 'free')
        order by n.scope, n.name
        limit at_most;
end
$$;
comment on function list_limits is 'What limits there are and how much of them is in use, in pages.';
