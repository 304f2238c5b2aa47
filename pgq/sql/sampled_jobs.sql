-- sampled_jobs(place, pages): about how many jobs of each queue and state are in ready, scheduled, waiting or results, from a sample of so many of its pages;
-- exact where it has no more. The same until the table changes. Internal: counts, queue_figures.
--
-- The sample says which part each queue has, and how many rows there are altogether: well where pages hold about as many each, badly where few hold
-- any, since much was done since there were most. The server's statistics know that better, but come late, and begin anew after a crash. So they
-- may change the figure within the doubt that the sample leaves, its standard error and 1 %.
create function sampled_jobs(place text, pages integer) returns table (queue text, state text, jobs double precision, exact boolean)
language sql stable
as $$
    with sample as materialized (
        select * from sample_pages(place, pages)
    ), size as (
        select greatest(1, pg_relation_size(place::regclass) / current_setting('block_size')::double precision / pages) as scale
    ), likely as (
        select z.scale,
               nullif(pg_stat_get_live_tuples(place::regclass), 0) / (sum(p.rows) * z.scale) as known,
               least(0.01 + sqrt(greatest(pages * sum(p.rows ^ 2) / sum(p.rows) ^ 2 - 1, 0) / pages), 0.8) as doubt
        from (select page, sum(rows)::double precision as rows from sample group by page) p
        cross join size z
        group by z.scale
    )
    select p.queue, p.state,
           sum(p.jobs) * l.scale * case when l.scale = 1 then 1 else coalesce(least(greatest(l.known, 1 - l.doubt), 1 + l.doubt), 1) end,
           l.scale = 1
    from sample p cross join likely l
    group by p.queue, p.state, l.scale, l.known, l.doubt
$$;
comment on function sampled_jobs is 'About how many jobs of each queue and state a table has.';
