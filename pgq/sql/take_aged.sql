-- take_aged(queue_name, wanted, batch, only_kinds, after, age_every): takes up to batch rows out of ready for a claim of a queue whose jobs age: in the order
-- of the time since when they are ready plus age_every for each priority below the soonest. So a job goes before all that become ready later than
-- so many times age_every after it, however soon their priority. keeps: how many jobs of each row (a run) the claim keeps, wanted together at the most; the rest it puts back.
-- n is 0 when nothing is there, or others have locked it. Internal: claim, which takes from other queues by itself.
--
-- That order never changes while time passes, and within a priority it is that of seq: so the batch soonest of all are among the batch first of each
-- priority, and cursors per priority are as good as ever. (Transactions draw seqs in another order than they begin, in which case a job counts as ready since
-- the one before it was.) Candidates are read without locks and then locked in order until there are enough, so nobody's claim is in the way of jobs that
-- it does not take; those that others have locked are passed over, as by any claim, and the next round looks behind them, at twice as many.
-- Locks: rows of ready, skipping those that others have locked.
create function take_aged(
    queue_name text, wanted integer, batch integer, only_kinds text[], after bigint[], age_every interval,
    out n bigint, out jobs bigint, out job_ids bigint[], out seqs bigint[], out priorities smallint[], out sizes integer[],
    out keeps integer[], out attempts integer[], out kinds text[], out sinces timestamptz[])
language plpgsql
as $$
#variable_conflict use_column
declare
    places bigint[] := array(select coalesce(after[p], 0) from generate_series(1, 10) p); -- of each priority, behind which to look
    width integer := batch;
    found_now record;
begin
    n := 0;
    jobs := 0;
    loop
        with heads as materialized (
            select c.tid, c.priority, c.seq, max(coalesce(c.since, j.created_at) + c.priority * age_every) over (partition by c.priority order by c.seq) as due
            from generate_series(0, 9) p
            cross join lateral (
                select r.ctid as tid, r.priority, r.seq, r.job_id, r.since
                from ready r
                where r.queue = queue_name and r.priority = p and r.seq > places[p + 1] and (only_kinds is null or r.kind = any(only_kinds))
                order by r.seq
                limit width) c
            left join lateral (select created_at from jobs where id = c.job_id and c.since is null offset 0) j on true
            -- As in claim: none that was enqueued after a pause is taken.
            where not exists (select from queues q where q.name = queue_name and q.paused_at is not null)
        ), soonest as materialized (
            select * from heads order by due, priority, seq limit width
        ), picked as materialized (
            select s.due, r.*
            from (select * from soonest order by due, priority, seq) s
            cross join lateral (
                select c.ctid as tid, c.* from ready c where c.ctid = s.tid for update skip locked) r
            limit batch - n
        ), cut as materialized (
            select p.*, least(p.size, greatest(0, wanted - take_aged.jobs - sum(p.size) over (order by p.due, p.priority, p.seq) + p.size))::integer as keep
            from picked p
        ), taken as (
            delete from ready where ctid = any(array(select tid from cut where keep > 0))
        )
        select (select count(*) from picked) as n, coalesce(sum(size), 0) as jobs, array_agg(job_id order by due, priority, seq) as job_ids,
               array_agg(seq order by due, priority, seq) as seqs, array_agg(priority order by due, priority, seq) as priorities,
               array_agg(size order by due, priority, seq) as sizes, array_agg(keep order by due, priority, seq) as keeps,
               array_agg(attempt order by due, priority, seq) as attempts, array_agg(kind order by due, priority, seq) as kinds,
               array_agg(since order by due, priority, seq) as sinces,
               (select count(*) from soonest) as seen,
               array(select greatest(places[p], (select max(s.seq) from soonest s where s.priority = p - 1)) from generate_series(1, 10) p) as places
        into found_now
        from cut
        where keep > 0;
        n := n + found_now.n;
        jobs := jobs + found_now.jobs;
        job_ids := job_ids || found_now.job_ids;
        seqs := seqs || found_now.seqs;
        priorities := priorities || found_now.priorities;
        sizes := sizes || found_now.sizes;
        keeps := keeps || found_now.keeps;
        attempts := attempts || found_now.attempts;
        kinds := kinds || found_now.kinds;
        sinces := sinces || found_now.sinces;
        exit when n >= batch or jobs >= wanted or found_now.seen < width;
        places := found_now.places;
        width := 2 * width;
    end loop;
end
$$;
comment on function take_aged is 'Takes rows out of ready for a claim of a queue whose jobs age.';
