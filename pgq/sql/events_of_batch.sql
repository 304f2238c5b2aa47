-- events_of_batch(batch): events as they are shown, with the kinds of their jobs, in order. Internal: consume_events, lease_events.
create function events_of_batch(batch events[])
returns table (id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language sql stable
as $$
    select e.id, e.job_id, e.queue, e.type, e.attempt, e.worker_id, e.at, e.data,
           coalesce(j.kind, case e.type when 'deleted' then e.data ->> 'kind' end)
    from unnest(batch) with ordinality e(xid, id, job_id, queue, type, attempt, worker_id, at, data, place)
    left join lateral (select jobs.kind from jobs where jobs.id = e.job_id offset 0) j on true
    order by e.place
$$;
comment on function events_of_batch is 'Events as they are shown.';
