-- dag_resume(dag_id): lets the nodes of a DAG start again that dag_hold held. Returns how many. Zero: it was not held.
-- A job that was to run at a later time starts at once, but a delay that is its own begins anew. Raises PQ004 for an unknown DAG.
-- Locks: the DAG; rows of waiting by job.
-- roles: operator
create function dag_resume(dag_id bigint) returns bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    members bigint[];
begin
    perform lock_dag(dag_id);
    members := array(
        select w.job_id from waiting w
        where w.held and w.job_id in (select m.id from jobs m where m.dag_id = dag_resume.dag_id union all select dag_resume.dag_id)
        order by w.job_id for no key update);
    if members = '{}' then
        return 0;
    end if;
    update waiting w set held = false where w.job_id = any(members);
    perform add_vacancies(array(select w.group_name from waiting w where w.job_id = any(members) and w.role = 'turn'));
    perform record_event('resumed', j.id, j.queue, data => operator_data(null, null)) from jobs j where j.id = dag_resume.dag_id;
    perform judge(members);
    return cardinality(members) - 1;
end
$$;
comment on function dag_resume is 'Lets the nodes of a DAG start again.';
