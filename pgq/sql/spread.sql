-- spread(job_ids, start_at, rate): schedules those of the jobs that are ready, one after the other, so many per second from a
-- time on; the time of the next one. Internal: change_jobs, which has just made them ready.
create function spread(job_ids bigint[], start_at timestamptz, rate double precision) returns timestamptz
language plpgsql
as $$
declare
    first_at constant timestamptz := greatest(start_at, now());
    gone record;
begin
    select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids, array_agg(w.attempt order by w.job_id) as attempts
    into gone from withdraw(job_ids) w;
    insert into scheduled (job_id, queue, run_at, attempt)
    select u.id, j.queue, first_at + (u.n - 1) / rate * interval '1 s', u.attempt
    from unnest(gone.ids, gone.attempts) with ordinality u(id, attempt, n)
    cross join lateral (select queue from jobs where jobs.id = u.id offset 0) j;
    return first_at + cardinality(gone.ids) / rate * interval '1 s';
end
$$;
comment on function spread is 'Schedules jobs that are ready one after the other.';
