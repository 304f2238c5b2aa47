-- import_events(lines): appends events as export_events wrote them, with new ids. Returns how many.
-- roles: owner
create function import_events(lines jsonb[]) returns integer
language sql security definer set search_path from current set jit = off set timezone = 'UTC' set datestyle = 'ISO'
as $$
    with added as (
        insert into events overriding user value
        select p.* from unnest(lines) l, jsonb_populate_record(null::events, l->'event') p order by p.id
        returning id
    )
    select count(*)::integer from added
$$;
comment on function import_events is 'Appends events as export_events wrote them.';
