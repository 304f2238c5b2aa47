-- members_of(job_ids): the nodes of DAGs, of sub-DAGs and of maps among these jobs, at any depth; not the jobs themselves.
-- Internal.
create function members_of(job_ids bigint[]) returns setof bigint
language sql stable
as $$
    select m.id
    from jobs d
    cross join lateral (
        select id from jobs where dag_id = d.id and d.dag_id is null
        union all
        select id from jobs
        where dag_id = d.dag_id and d.role = 'dag' and name >= d.name || '/' and name < d.name || '0'
        union all
        select id from jobs
        where dag_id = d.dag_id and d.role = 'map' and name >= d.name || '[' and name < d.name || '\') m
    where d.id = any(job_ids) and d.role in ('dag', 'map')
$$;
comment on function members_of is 'Nodes of DAGs, sub-DAGs and maps.';
