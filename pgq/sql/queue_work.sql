-- queue_work(queue, at_most): what there is still to do in a queue, counted up to at_most each: ready jobs, those that
-- are due (scheduled, their time has come), later ones, those that wait for other jobs, running ones; and whether it is paused.
-- Reads all leases. One row always.
-- roles: worker, operator, reader
create function queue_work(queue text, at_most integer default 10000)
returns table (ready bigint, due bigint, later bigint, waiting bigint, running bigint, paused boolean)
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
    with bound as materialized (
        select within('at_most', at_most, 0, 1000000) as most
    )
    select least(at_most, (select coalesce(sum(r.size), 0) from (select size from ready r where r.queue = queue_work.queue limit (select most from bound)) r)),
           (select count(*) from (select from scheduled s where s.queue = queue_work.queue and s.run_at <= now() limit (select most from bound)) s),
           (select count(*) from (select from scheduled s where s.queue = queue_work.queue and s.run_at > now() limit (select most from bound)) s),
           (select count(*) from (select from waiting w where w.queue = queue_work.queue and w.role is null limit (select most from bound)) w),
           (select count(*) from (select from running r where r.queue = queue_work.queue limit (select most from bound)) r),
           exists (select from queues q where q.name = queue_work.queue and q.paused_at is not null)
$$;
comment on function queue_work is 'What there is still to do in a queue.';
