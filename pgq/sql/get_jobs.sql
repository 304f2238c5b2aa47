-- get_jobs(job_ids): all that is known of jobs, newest first; those that do not exist are left out.
-- What the view job_details says, with a plan that is made once per session.
create function get_jobs(job_ids bigint[]) returns setof job_details
language plpgsql stable set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query select d.* from job_details d where d.id = any(job_ids) order by d.id desc;
end
$$;
comment on function get_jobs is 'All that is known of jobs.';
