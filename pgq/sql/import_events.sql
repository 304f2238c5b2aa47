-- import_events(lines): appends events as export_events wrote them, with new ids. They are history: of the consumers only those that
-- begin at the beginning or before them get them. Returns how many. Raises PQ001 for a line
-- that is no event.
-- roles: owner
create function import_events(lines jsonb[]) returns integer
language plpgsql security definer set search_path from current set jit = off set timezone = 'UTC' set datestyle = 'ISO'
as $$
declare
    added integer;
begin
    if exists (select from unnest(lines) l where l is null or l->>'type' is distinct from 'event' or l->'event'->>'type' is null) then
        perform invalid('lines', 'must be of type event with an object "event" that has a type');
    end if;
    insert into events (xid, job_id, queue, type, attempt, worker_id, at, data)
    select '3', p.job_id, p.queue, p.type, p.attempt, p.worker_id, coalesce(p.at, now()), p.data
    from unnest(lines) l, jsonb_populate_record(null::events, l->'event') p order by p.id;
    get diagnostics added = row_count;
    return added;
end
$$;
comment on function import_events is 'Appends events as export_events wrote them.';
