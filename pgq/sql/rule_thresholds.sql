-- rule_thresholds(rule, parents, at_least): the thresholds of a dependency rule for a node with so many parents.
-- One row always. Internal, inlined.
create function rule_thresholds(rule text, parents integer, at_least integer)
returns table (need_ok integer, need_failed integer, max_failed integer, max_skipped integer, eager boolean)
language sql immutable
as $$
    select case when rule = 'at_least' then at_least when rule in ('any', 'join') then 1 else 0 end,
           case when rule = 'one_failed' then 1 when rule = 'all_failed' then parents else 0 end,
           case when rule in ('any', 'at_least', 'done', 'one_failed', 'all_failed', 'none_skipped') then 2147483647 else 0 end,
           case when coalesce(rule, 'all') in ('all', 'none_skipped') then 0 else 2147483647 end,
           coalesce(rule in ('any', 'at_least', 'one_failed'), false)
$$;
comment on function rule_thresholds is 'Thresholds of a dependency rule.';
