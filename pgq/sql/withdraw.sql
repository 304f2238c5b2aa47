-- withdraw(job_ids, unstarted_only): takes jobs out of ready and scheduled, and out of waiting where they wait for their turn; those that were there and their
-- attempts so far. The caller puts them somewhere else in the same transaction. Internal.
-- A job may be missed when somebody splits its run at the same moment: callers look again.
-- The lateral look-ups with "offset 0" keep the planner from walking whole indexes of tables it takes for small.
-- Locks: rows of waiting by job, rows of scheduled by job, then rows of ready by key; waits for others.
create function withdraw(job_ids bigint[], unstarted_only boolean default false)
returns table (job_id bigint, queue text, priority smallint, kind text, attempt integer)
language plpgsql
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    return query
        with locked as materialized (
            select w.job_id from waiting w
            where w.job_id = any(job_ids) and w.role = 'turn' and (w.attempt = 0 or not unstarted_only)
            order by w.job_id
            for update
        )
        delete from waiting w where w.job_id = any(array(select l.job_id from locked l)) and w.role = 'turn'
        returning w.job_id, w.queue, w.priority, w.kind, w.attempt;
    return query
        with locked as materialized (
            select s.job_id from scheduled s
            where s.job_id = any(job_ids) and (s.attempt = 0 or not unstarted_only)
            order by s.job_id
            for update
        ), taken as (
            delete from scheduled s where s.job_id = any(array(select l.job_id from locked l))
            returning s.job_id, s.attempt
        )
        select t.job_id, j.queue, j.priority, j.kind, t.attempt
        from taken t cross join lateral (select * from jobs where jobs.id = t.job_id offset 0) j;
    return query
        with wanted as materialized (
            select j.id, j.queue, j.priority from jobs j where j.id = any(job_ids)
        ), hit as materialized (
            select distinct r.queue, r.priority, r.seq
            from wanted w
            cross join lateral (
                select * from ready r
                where r.queue = w.queue and r.priority = w.priority and r.seq <= w.id
                order by r.seq desc limit 1) r
            where r.seq = r.job_id and w.id < r.job_id + r.size
            union
            select r.queue, r.priority, r.seq from ready_again(job_ids) r where r.attempt = 0 or not unstarted_only
        ), locked as materialized (
            select r.tid
            from (select * from hit order by queue, priority, seq) h
            cross join lateral (
                select x.ctid as tid from ready x
                where x.queue = h.queue and x.priority = h.priority and x.seq = h.seq
                offset 0
                for update) r
        ), removed as (
            delete from ready r
            where r.ctid = any(array(select tid from locked))
            returning r.*
        ), members as materialized (
            select m.queue, m.priority, m.kind, m.attempt, m.seq + g as seq, m.job_id + g as id,
                   m.job_id + g = any(job_ids) as is_wanted
            from removed m
            cross join lateral generate_series(0, m.size - 1) g
        ), islands as (
            select *, seq - row_number() over (partition by queue, priority, kind order by seq) as island
            from members
            where not is_wanted
        ), rest as (
            insert into ready (queue, priority, seq, job_id, size, attempt, kind)
            select queue, priority, min(seq), min(id), count(*), min(attempt), kind
            from islands
            group by queue, priority, kind, island
        )
        select id, queue, priority, kind, attempt from members where is_wanted;
end
$$;
comment on function withdraw is 'Takes jobs out of ready and scheduled.';
