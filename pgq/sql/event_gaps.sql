-- event_gaps(newest_id, back): the ids that are missing among the last events: those of transactions that may still be open, to
-- be asked for again by read_events. Locks nothing.
-- roles: operator, reader
create function event_gaps(newest_id bigint, back integer) returns bigint[]
language sql stable security definer set search_path from current
as $$
    select array(
        select n from generate_series(greatest(1, greatest(newest_id, 0) - within('back', back, 0, 1000000)), newest_id) n
        where not exists (select from events e where e.id = n))
$$;
comment on function event_gaps is 'Ids that are missing among the last events.';
