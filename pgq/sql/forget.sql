-- forget(job_ids): deletes what is known of jobs whose place the caller has just deleted. Internal.
create function forget(job_ids bigint[]) returns void
language plpgsql
as $$
begin
    delete from expiries e using jobs j where j.id = any(job_ids) and e.expires_at = j.expires_at and e.job_id = j.id;
    delete from progress where job_id = any(job_ids);
    delete from logs where job_id = any(job_ids);
    delete from jobs where id = any(job_ids);
end
$$;
comment on function forget is 'Deletes what is known of jobs.';
