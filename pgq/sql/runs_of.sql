-- runs_of(job_ids): the keys of the rows of ready that hold jobs. Internal: hold.
create function runs_of(job_ids bigint[]) returns table (queue text, priority smallint, seq bigint)
language sql stable
as $$
    select distinct r.queue, r.priority, r.seq
    from jobs w
    cross join lateral (
        select * from ready r
        where r.queue = w.queue and r.priority = w.priority and r.seq <= w.id
        order by r.seq desc limit 1) r
    where w.id = any(job_ids) and r.seq = r.job_id and w.id < r.job_id + r.size
    union
    select r.queue, r.priority, r.seq from ready_again(job_ids) r
$$;
comment on function runs_of is 'The rows of ready that hold jobs.';
