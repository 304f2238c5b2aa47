-- explain_aged(queue_name, priority, seq, due, age_every): how many jobs come before a ready one in a queue whose jobs age; see take_aged. Internal:
-- explain_ready. Looks at the first 1,000 rows of each priority; exact is false if there may be more.
create function explain_aged(
    queue_name text, priority smallint, seq bigint, due timestamptz, age_every interval, out jobs bigint, out exact boolean)
language sql stable
as $$
    select coalesce(sum(least(h.size, case when h.priority = explain_aged.priority then explain_aged.seq - h.seq else h.size end)), 0)::bigint,
           coalesce(max(h.place), 0) < 1000
    from generate_series(0, 9) p
    cross join lateral (
        select r.priority, r.seq, r.size, row_number() over (order by r.seq) as place,
               max(coalesce(r.since, j.created_at) + r.priority * age_every) over (order by r.seq) as due
        from (select * from ready r where r.queue = queue_name and r.priority = p order by r.seq limit 1000) r
        left join lateral (select created_at from jobs where id = r.job_id and r.since is null offset 0) j on true) h
    where case when h.priority = explain_aged.priority then h.seq < explain_aged.seq
               else (h.due, h.priority) < (explain_aged.due, explain_aged.priority) end
$$;
comment on function explain_aged is 'How many jobs come before a ready one in a queue whose jobs age.';
