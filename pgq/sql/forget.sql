-- forget(job_ids): deletes what is known of jobs whose place the caller has just deleted. Internal.
-- jobs comes before logs, because add_logs locks it: what is added meanwhile is waited for, and deleted too.
create function forget(job_ids bigint[]) returns void
language plpgsql
as $$
begin
    delete from expiries e using jobs j where j.id = any(job_ids) and e.expires_at = j.expires_at and e.job_id = j.id;
    delete from jobs where id = any(job_ids);
    delete from progress where job_id = any(job_ids);
    delete from logs where job_id = any(job_ids);
end
$$;
comment on function forget is 'Deletes what is known of jobs.';
