-- dag_downstream(job_ids): these nodes and all that comes after them in their DAG, at any depth. Sub-DAGs and maps among them
-- are taken with all that is in them; those in which some node, or item, comes after these nodes are passed through and left
-- out themselves, as is the DAG's own job: they end with what is in them. Internal.
create function dag_downstream(job_ids bigint[]) returns setof bigint
language sql stable
as $$
    with recursive reached as (
        select id, true as taken from unnest(job_ids) id
        union
        select j.id, n.taken or case j.role
                   when 'map' then not is_item(r.id, j.id)
                   when 'dag' then exists (
                       select from jobs p where p.id = r.id and (p.name = j.name || '/(start)' or not starts_with(p.name, j.name || '/')) offset 0)
                   else true end
        from reached r
        cross join lateral (
            select e.child_id as id, false as taken from edges e where e.parent_id = r.id
            union all
            select m, true from members_of(array[r.id]) m where r.taken) n
        cross join lateral (select dag_id from jobs where jobs.id = r.id offset 0) o
        join jobs j on j.id = n.id and j.dag_id = o.dag_id
    )
    select distinct id from reached where taken
$$;
comment on function dag_downstream is 'Nodes and all that come after them.';
