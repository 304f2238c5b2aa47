-- consume_events(name, at_most): reads the next events of a consumer and moves its position behind them, both in the caller's transaction:
-- what it writes about them is written exactly once, and if it rolls back they come again. Zero rows: nothing new has happened, somebody else
-- is at it, or it waits after a failure. Raises PQ001 when at_most is not 1 to 10,000 or the transaction is not read committed, PQ004 when there
-- is no such consumer. Locks: the consumer's row, skipping it when it is locked; so others get no events until the caller has committed.
-- roles: worker, operator
create function consume_events(name text, at_most integer default 100)
returns table (id bigint, job_id bigint, queue text, type text, attempt integer, worker_id bigint,
               at timestamptz, data jsonb, kind text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    next record;
    c consumers;
begin
    select * into next from next_batch(consume_events.name, consume_events.at_most);
    c := next.consumer;
    if c.name is null then
        return;
    end if;
    if next.batch <> '{}' then
        c.after_id := (next.batch[cardinality(next.batch)]).id;
    end if;
    perform keep_position(c, cardinality(next.batch));
    return query select * from events_of_batch(next.batch);
end
$$;
comment on function consume_events is 'Reads the next events of a consumer in the caller''s transaction.';
