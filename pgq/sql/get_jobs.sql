-- get_jobs(job_ids): all that is known of jobs, newest first; those that do not exist are left out, and for
-- mere producers those that others enqueued.
-- What the view job_details says, with a plan that is made once per session.
-- roles: producer, worker, operator, reader
create function get_jobs(job_ids bigint[]) returns setof job_details
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query select d.* from job_details d where d.id = any(visible(job_ids)) order by d.id desc;
end
$$;
comment on function get_jobs is 'All that is known of jobs.';
