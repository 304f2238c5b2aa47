-- expire_dags(job_ids): what is due among jobs that no handler runs: a DAG past its deadline ends as expired, one that fails
-- fast as failed; a node that slept is completed; an external node gets its default answer, or has failed.
-- Internal: expire, which holds the DAGs' locks.
create function expire_dags(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    due record;
begin
    for due in
        select j.id, j.role, j.dag_id, j.spec, j.expires_at <= now() as is_late
        from jobs j
        join waiting w on w.job_id = j.id
        where j.id = any(job_ids) and j.role is not null
        order by j.id
    loop
        if due.role = 'dag' and due.is_late then
            perform end_dags(array[due.id], 'expired', 'deadline passed');
            perform cancel_all(array(select m from members_of(array[due.id]) m), 'deadline passed');
        elsif due.role = 'dag' then
            perform fail_dag(due.id);
        elsif due.is_late and due.role = 'sleep' then
            perform answer_node(due.id, null, null);
        elsif due.is_late and due.role = 'external' then
            perform answer_node(due.id, due.spec -> 'default', case when due.spec ? 'default' then null else 'nobody answered in time' end);
        end if;
    end loop;
end
$$;
comment on function expire_dags is 'Does what is due among jobs that no handler runs.';
