-- job(id): all that is known of one job, its result (output) included, as it is now: no waiting. Null columns for what is not
-- there yet; no row when there is no such job.
--
--   select state, output, error from pgq.job(42);
-- roles: producer, worker, operator, reader
create function job(id bigint) returns setof job_details
language sql stable security definer set search_path from current
as $$ select * from get_jobs(array[id]) $$;
comment on function job is 'All that is known of a job, its result included; no row when there is no such job.';
