-- add_logs(job_ids, attempts, times, levels, messages, attrs): keeps log lines of handlers, to be read with the
-- job while it runs and after. Lines of jobs that were deleted are dropped, messages are cut at 20,000 characters.
-- Raises PQ001 for the first line that breaks a rule ("levels[3]"); none is kept then. Locks: rows of jobs against deletion.
-- roles: worker
create function add_logs(
    job_ids bigint[], attempts integer[], times timestamptz[], levels text[], messages text[], attrs jsonb[])
returns void
language plpgsql security definer set search_path from current
as $$
declare
    bad record;
begin
    select u.place - 1 as index, p.problem into bad
    from unnest(job_ids, attempts, times, levels, messages) with ordinality u(job_id, attempt, at, level, message, place),
         log_problem(u.job_id, u.attempt, u.at, u.level, u.message) p(problem)
    where p.problem is not null
    order by u.place limit 1;
    if found then
        perform invalid(format('%ss[%s]', bad.problem[1], bad.index), bad.problem[2]);
    end if;
    insert into logs (job_id, attempt, at, level, message, attrs)
    select u.job_id, u.attempt, u.at, u.level, left(u.message, 20000), u.attrs
    from unnest(job_ids, attempts, times, levels, messages, attrs) with ordinality u(job_id, attempt, at, level, message, attrs, place)
    join jobs j on j.id = u.job_id
    order by u.place
    for key share of j;
end
$$;
comment on function add_logs is 'Keeps log lines of handlers.';
