-- forget_members(dag_ids): deletes the results of the nodes of DAGs that have ended, and returns the nodes. Internal: the
-- caller has deleted the results of the DAGs, and forgets the nodes with them.
create function forget_members(dag_ids bigint[]) returns bigint[]
language plpgsql
as $$
declare
    members constant bigint[] := case when dag_ids = '{}' then '{}'
        else array(select m.id from jobs m where m.dag_id = any(dag_ids) order by m.id) end;
begin
    if members = '{}' then
        return '{}';
    end if;
    delete from frontier where parent_id = any(members);
    delete from results where job_id = any(members);
    return members;
end
$$;
comment on function forget_members is 'Deletes the results of the nodes of DAGs.';
