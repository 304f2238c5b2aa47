-- ended_near(tops, since): jobs that ended since that time, per minute, queue and state, in the ranges of ids below each of
-- tops (rising) and above the one before. 10,000 results right below the tops are counted; from there on 300 random ids, together, in
-- ranges of 5,000, 10,000, 20,000 ... stand for the others, until none of them ended since. Internal: ended_per_minute.
create function ended_near(tops bigint[], since timestamptz)
returns table (minute timestamptz, queue text, state text, jobs double precision)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    counted constant integer := 10000 / greatest(1, cardinality(tops));
    probes constant integer := greatest(15, 300 / greatest(1, cardinality(tops)));
    bottom bigint := 0;
    low bigint;
    high bigint;
    width bigint;
begin
    for i in 1 .. cardinality(tops) loop
        return query
            select date_trunc('minute', f.finished_at), f.queue, f.state, count(*)::double precision
            from (select * from results where job_id <= tops[i] and job_id > bottom order by job_id desc limit counted) f
            where f.finished_at >= since
            group by 1, 2, 3;
        select f.job_id - 1 into high
        from results f where f.job_id <= tops[i] and f.job_id > bottom order by f.job_id desc offset counted - 1 limit 1;
        width := 5000;
        while high > bottom loop
            low := greatest(bottom, high - width);
            return query
                select date_trunc('minute', f.finished_at), f.queue, f.state, count(*) * (high - low)::double precision / probes
                from (select low + 1 + floor((high - low) * (n + random()) / probes)::bigint as id
                      from generate_series(0, probes - 1) n offset 0) p
                cross join lateral (select * from results where job_id = p.id offset 0) f
                where f.finished_at >= since
                group by 1, 2, 3;
            exit when not found;
            high := low;
            width := width * 2;
        end loop;
        bottom := tops[i];
    end loop;
end
$$;
comment on function ended_near is 'Jobs that ended since a time, looked for below ids.';
