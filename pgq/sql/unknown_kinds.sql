-- unknown_kinds(queue_names): kinds of jobs at the heads of queues that no living worker of these queues knows, so
-- that they stay ready. Looks at the first 1,000 rows of each queue, and at the
-- kinds of jobs that wait for their turn.
-- roles: worker, operator, reader
create function unknown_kinds(queue_names text[]) returns table (queue text, kind text)
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
    select distinct h.queue, h.kind
    from unnest(queue_names) q(name)
    cross join lateral (
        (select r.queue, r.kind from ready r where r.queue = q.name order by r.priority, r.seq limit 1000)
        union all
        select q.name, k.kind from kinds_in_line(q.name) k) h
    where not exists (
        select from workers w
        where w.dead_at is null and h.queue = any(w.queues) and h.kind = any(w.kinds))
$$;
comment on function unknown_kinds is 'Kinds of waiting jobs that no living worker knows.';
