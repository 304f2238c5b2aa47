-- lease_events(name, at_most, lease, leased_by): reads the next events of a consumer and leases them to the caller: they are its until the lease
-- ends, and nobody else gets any of this consumer's. Say that they are done with ack_events, or that one failed with fail_events; else they
-- come again once the lease is over. token names the lease, failures is how often the first of them has failed in a row. Zero rows: nothing
-- new has happened, somebody else has a lease, or it waits after a failure. Raises PQ001 when at_most is not 1 to 10,000, lease not 1 ms to
-- 1 day, or the transaction is not read committed, PQ004 when there is no such consumer. Locks: the consumer's row, skipping it when it is locked.
-- roles: worker, operator
create function lease_events(name text, at_most integer default 100, lease interval default '30 s', leased_by text default null)
returns table (token bigint, failures integer, id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    next record;
    c consumers;
begin
    if lease is null or lease not between interval '1 ms' and interval '1 day' then
        perform invalid('lease', 'must be 1 ms to 1 day');
    end if;
    select * into next from next_batch(lease_events.name, lease_events.at_most);
    c := next.consumer;
    if c.name is null then
        return;
    elsif next.batch = '{}' then
        perform keep_position(c, 0);
        return;
    end if;
    update consumers x
    set from_xid = c.from_xid, from_open = c.from_open, to_xid = c.to_xid, to_open = c.to_open, to_open_ids = c.to_open_ids,
        to_id = c.to_id, after_id = c.after_id, exhausted = false, token = x.token + 1,
        leased_id = (next.batch[cardinality(next.batch)]).id, leased_last = c.exhausted,
        leased_count = cardinality(next.batch), leased_until = clock_timestamp() + lease,
        leased_by = left(lease_events.leased_by, 200), retry_at = null, read_at = clock_timestamp()
    where x.name = c.name;
    return query select c.token + 1, c.failures, e.* from events_of_batch(next.batch) e;
end
$$;
comment on function lease_events is 'Leases the next events of a consumer.';
