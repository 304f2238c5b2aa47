-- ready_rows(job_ids): the rows of ready that hold jobs, one per job that is there. Internal. Locks nothing.
create function ready_rows(job_ids bigint[]) returns table (job_id bigint, queue text, priority smallint, seq bigint)
language sql stable
as $$
    select j.id, x.queue, x.priority, x.seq
    from jobs j
    cross join lateral (
        select * from ready x
        where x.queue = j.queue and x.priority = j.priority and x.seq <= j.id
        order by x.seq desc limit 1) x
    where j.id = any(job_ids) and x.seq = x.job_id and j.id < x.job_id + x.size
    union
    select x.job_id, x.queue, x.priority, x.seq from ready_again(job_ids) x
$$;
comment on function ready_rows is 'The rows of ready that hold jobs.';
