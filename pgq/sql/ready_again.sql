-- ready_again(job_ids): the rows of ready of those jobs that became ready again. Internal, inlined: an index look-up for each, whatever the
-- planner takes for small ("= any" would do with a walk along the whole index of a table without rows, where a sort asks for one). Locks nothing.
create function ready_again(job_ids bigint[]) returns setof ready
language sql stable
as $$
    select r.*
    from unnest(job_ids) u(id)
    cross join lateral (select * from ready x where x.job_id = u.id and x.seq <> x.job_id offset 0) r
$$;
comment on function ready_again is 'The rows of ready of jobs that became ready again.';
