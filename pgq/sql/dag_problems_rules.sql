-- dag_problems_rules(options, afters): nodes whose rule asks for more parents than they have. Internal: dag_problems.
-- A map comes after the node that it maps over, whether "after" names that or not.
create function dag_problems_rules(options jsonb[], afters jsonb[]) returns table (index bigint, field text, rule text)
language sql stable
as $$
    select n.index, case when p.parents = 0 then 'rule' else 'at_least' end, case
        when p.parents = 0 then format('%s needs nodes in after', n.options ->> 'rule')
        else format('must be at most %s, the number of nodes in after', p.parents) end
    from unnest(options, afters) with ordinality n(options, after, index)
    cross join lateral (
        select case when jsonb_typeof(n.after) = 'array' then jsonb_array_length(n.after) else 0 end
               + case when n.options ->> 'type' = 'map' and jsonb_typeof(n.options -> 'over') = 'string'
                           and (n.after is null
                                or not n.after @> jsonb_build_array(n.options -> 'over')
                                   and not n.after @> jsonb_build_array(jsonb_build_object('node', n.options -> 'over')))
                      then 1 else 0 end as parents offset 0) p
    where n.options ? 'rule'
      and (p.parents = 0 and n.options ->> 'rule' in ('any', 'at_least', 'join', 'one_failed', 'all_failed')
           or p.parents > 0 and n.options ->> 'rule' = 'at_least' and n.options ->> 'at_least' ~ '^[0-9]{1,10}$'
              and (n.options ->> 'at_least')::bigint > p.parents)
$$;
comment on function dag_problems_rules is 'Nodes whose rule asks for more parents than they have.';
