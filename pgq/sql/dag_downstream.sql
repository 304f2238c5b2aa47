-- dag_downstream(job_ids): these nodes and all that come after them in their DAG, at any depth; of sub-DAGs and maps on the
-- way also what is in them. Not the DAG's own job. Internal.
create function dag_downstream(job_ids bigint[]) returns setof bigint
language sql stable
as $$
    with recursive reached as (
        select id from unnest(job_ids) id
        union
        select n.id
        from reached r
        cross join lateral (
            select e.child_id as id from edges e where e.parent_id = r.id
            union all
            select m from members_of(array[r.id]) m) n
        join jobs j on j.id = n.id and j.dag_id is not null
    )
    select id from reached
$$;
comment on function dag_downstream is 'Nodes and all that come after them.';
