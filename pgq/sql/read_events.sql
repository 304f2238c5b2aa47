-- read_events(after_id, gaps, at_most): events behind after_id, and those among gaps that have been committed
-- meanwhile (ids drawn by transactions that were still open when their successors were read). In order of id.
-- roles: operator, reader
create function read_events(after_id bigint, gaps bigint[] default '{}', at_most integer default 1000)
returns table (id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
    select e.id, e.job_id, e.queue, e.type, e.attempt, e.worker_id, e.at, e.data,
           coalesce(j.kind, case e.type when 'deleted' then e.data ->> 'kind' end)
    from (
        select * from events where id = any(gaps)
        union all
        (select * from events where id > after_id order by id limit within('at_most', at_most, 0, 1000000))
    ) e
    left join jobs j on j.id = e.job_id
    order by e.id
$$;
comment on function read_events is 'Events behind an id.';
