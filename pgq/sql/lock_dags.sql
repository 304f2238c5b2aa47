-- lock_dags(job_ids): locks the DAGs to which jobs belong, so that verbs which change many of a DAG's nodes go one after
-- the other, whatever rows they lock in which order. Workers never wait for it. Costs plain jobs a look-up. Internal.
-- Locks: the advisory locks of the DAGs, in the order of their ids, until the transaction ends.
create function lock_dags(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    dag bigint;
begin
    for dag in
        select distinct coalesce(j.dag_id, j.id) from jobs j
        where j.id = any(job_ids) and (j.dag_id is not null or j.role is not null)
        order by 1
    loop
        perform pg_advisory_xact_lock(advisory_key('dag/' || dag));
    end loop;
end
$$;
comment on function lock_dags is 'Locks the DAGs to which jobs belong.';
