-- import_events(lines): appends events as export_events wrote them, with new ids. They are history: of the consumers only those that
-- begin at the beginning or before them get them. Returns how many.
-- roles: owner
create function import_events(lines jsonb[]) returns integer
language sql security definer set search_path from current set jit = off set timezone = 'UTC' set datestyle = 'ISO'
as $$
    with added as (
        insert into events (xid, job_id, queue, type, attempt, worker_id, at, data)
        select '3', p.job_id, p.queue, p.type, p.attempt, p.worker_id, coalesce(p.at, now()), p.data
        from unnest(lines) l, jsonb_populate_record(null::events, l->'event') p order by p.id
        returning id
    )
    select count(*)::integer from added
$$;
comment on function import_events is 'Appends events as export_events wrote them.';
