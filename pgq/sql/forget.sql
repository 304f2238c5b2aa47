-- forget(job_ids): deletes what is known of jobs whose place the caller has just deleted. Internal.
-- jobs comes before logs, because add_logs locks it: what is added meanwhile is waited for, and deleted too.
create function forget(job_ids bigint[]) returns void
language plpgsql
as $$
begin
    -- For no ids at all the planner would walk whole indexes.
    if job_ids = '{}' then
        return;
    end if;
    -- "offset 0" keeps the planner from walking all of expiries where it takes them for few.
    delete from expiries
    where ctid = any(array(
        select e.tid
        from jobs j
        cross join lateral (
            select x.ctid as tid from expiries x where x.expires_at = j.expires_at and x.job_id = j.id offset 0) e
        where j.id = any(job_ids)));
    perform forget_keys(job_ids);
    delete from edges where parent_id = any(job_ids);
    delete from edges where child_id = any(job_ids);
    delete from signals where job_id = any(job_ids);
    delete from maps where job_id = any(job_ids);
    delete from dag_keys where dag_id = any(job_ids);
    delete from jobs where id = any(job_ids);
    delete from progress where job_id = any(job_ids);
    delete from logs where job_id = any(job_ids);
    delete from steps where job_id = any(job_ids);
    delete from attempt_errors where job_id = any(job_ids);
    if exists (select from sequences s where s.job_id = any(job_ids)) then
        perform advance_sequences(job_ids);
    end if;
end
$$;
comment on function forget is 'Deletes what is known of jobs.';
