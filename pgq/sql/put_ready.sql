-- put_ready(job_ids, attempts): makes jobs ready again, each with a new seq, and wakes workers. Internal: the
-- caller has just taken the jobs from where they were.
create function put_ready(job_ids bigint[], attempts integer[]) returns void
language plpgsql
as $$
begin
    insert into ready (queue, priority, seq, job_id, attempt, kind, since)
    select j.queue, j.priority, nextval('jobs_id_seq'), j.id, u.attempt, j.kind, now()
    from unnest(job_ids, attempts) u(id, attempt)
    cross join lateral (select * from jobs where jobs.id = u.id offset 0) j;
    perform wake(array(select distinct j.queue from jobs j where j.id = any(job_ids)));
end
$$;
comment on function put_ready is 'Makes jobs ready again.';
