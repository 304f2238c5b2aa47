-- event_fence(name, begun): the number of a transaction that got it during this call: the own one, unless that had one before (begun), else one
-- of a subtransaction that writes to the consumer's row. Null where there is no such row. Internal: next_batch, consumer_start.
create function event_fence(name text, begun boolean) returns xid8
language plpgsql
as $$
declare
    own constant bigint := pg_current_xact_id()::text::bigint;
    low bigint;
begin
    if not begun then
        return own::text::xid8;
    end if;
    begin
        update consumers c set token = c.token where c.name = event_fence.name returning c.xmin::text::bigint into low;
    exception
        when division_by_zero then -- never: the clause makes the block a subtransaction
            low := null;
    end;
    -- The row shows the lower half of the number, which is above that of the own transaction.
    low := (own >> 32 << 32) + low;
    return (case when low < own then low + 4294967296 else low end)::text::xid8;
end
$$;
comment on function event_fence is 'Number of a transaction that got it during the call.';
