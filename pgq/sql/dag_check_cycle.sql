-- dag_check_cycle(field, from_nodes, new_nodes): raises PQ001, naming the field, when one of these new nodes, which come before
-- existing ones (from_nodes), also comes after them, be it by way of other DAGs. Internal: dag_extend.
create function dag_check_cycle(field text, from_nodes bigint[], new_nodes bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    found_at record;
begin
    with recursive reached as (
        select id as root, id from unnest(from_nodes) id
        union
        select r.root, e.child_id from reached r join edges e on e.parent_id = r.id
    )
    select coalesce(f.name, 'DAG ' || f.id) as follower, n.name as node into found_at
    from reached r
    join edges e on e.parent_id = r.id and e.child_id = r.root
    join jobs f on f.id = r.root
    join jobs n on n.id = r.id
    where r.id = any(new_nodes)
    limit 1;
    if found then
        perform invalid(field, format('must not make a cycle: %s comes after %s', found_at.node, found_at.follower));
    end if;
end
$$;
comment on function dag_check_cycle is 'Refuses a cycle through new nodes.';
