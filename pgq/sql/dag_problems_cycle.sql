-- dag_problems_cycle(names, cycle): a cycle for humans: a -> b -> a, begun with the node that is first in the document, whose
-- index it is; long ones are cut. One row always. Internal: dag_problems_order, which has two numbers for a sub-DAG.
create function dag_problems_cycle(names text[], cycle integer[], out index bigint, out path text)
language sql stable
as $$
    with steps as (
        select (vertex - 1) % cardinality(names) + 1 as node, place from unnest(cycle) with ordinality u(vertex, place)
    ), nodes as (
        select node, place
        from (select node, place, coalesce(lag(node) over (order by place), last_value(node) over ()) as before from steps) s
        where node <> before
    ), turned as (
        select node, row_number() over (order by place < (select place from nodes order by node limit 1), place) as place,
               count(*) over () as size
        from nodes
    )
    select min(node),
           string_agg(case when place = 11 and size > 20 then format('(%s more)', size - 19) else names[node] end, ' -> ' order by place)
           || ' -> ' || names[min(node)]
    from turned
    where size <= 20 or place <= 11 or place > size - 9
$$;
comment on function dag_problems_cycle is 'A cycle for humans.';
