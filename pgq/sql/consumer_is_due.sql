-- consumer_is_due(c): whether there is something to read, as far as can be told without reading: nobody has the lease, no pause after a
-- failure is on, and the window is not read, or an id was drawn since, or a transaction that was open and may have drawn one has ended.
-- Internal: next_batch.
create function consumer_is_due(c consumers) returns boolean
language plpgsql
as $$
declare
    newest constant bigint := newest_event_id();
begin
    return coalesce(c.leased_until <= clock_timestamp(), true) and coalesce(c.retry_at <= clock_timestamp(), true)
        and (not c.exhausted or newest > c.to_id
             or exists (select from unnest(c.to_open, c.to_open_ids) o(xid, id)
                        where o.id < newest and pg_visible_in_snapshot(o.xid, pg_current_snapshot())
                          and o.xid is distinct from pg_current_xact_id_if_assigned()));
end
$$;
comment on function consumer_is_due is 'Whether a consumer may have something to read.';
