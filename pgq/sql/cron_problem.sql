-- cron_problem(spec): what is wrong with when a schedule is to be due, naming the field; null when nothing is. See set_schedule.
--
--   select pgq.cron_problem('0 24 * * *');
--
-- Locks nothing.
-- roles: producer, worker, operator, reader
create function cron_problem(spec text) returns text
language sql stable security definer set search_path from current
as $$ select problem from read_spec(spec, 'UTC') $$;
comment on function cron_problem is 'What is wrong with the spec of a schedule, or null.';
