-- dag_problems_rules(options, afters, special): which of the given nodes have a rule that asks for more parents than
-- they have. Internal: dag_problems. A map comes after the node that it maps over, whether "after" names that or not.
create function dag_problems_rules(options jsonb[], afters jsonb[], special bigint[])
returns table (index bigint, field text, rule text)
language sql stable
as $$
    select n.index, case when n.parents = 0 then 'rule' else 'at_least' end, case
        when n.parents = 0 then format('%s needs nodes in after', n.options ->> 'rule')
        else format('must be at most %s, the number of nodes in after', n.parents) end
    from (select r.index, options[r.index] as options,
                 case when jsonb_typeof(afters[r.index]) = 'array' then jsonb_array_length(afters[r.index]) else 0 end
                 + case when options[r.index] ->> 'type' = 'map' and jsonb_typeof(options[r.index] -> 'over') = 'string'
                             and not coalesce(afters[r.index] @> jsonb_build_array(options[r.index] -> 'over'), false)
                             and not coalesce(afters[r.index] @> jsonb_build_array(jsonb_build_object('node', options[r.index] -> 'over')), false)
                        then 1 else 0 end as parents
          from unnest(special) r(index) where options[r.index] ? 'rule' offset 0) n
    where n.parents = 0 and n.options ->> 'rule' in ('any', 'at_least', 'join', 'one_failed', 'all_failed')
       or n.parents > 0 and n.options ->> 'rule' = 'at_least'
          and case when n.options ->> 'at_least' ~ '^[0-9]{1,10}$' then (n.options ->> 'at_least')::bigint > n.parents end
$$;
comment on function dag_problems_rules is 'Nodes whose rule asks for more parents than they have.';
