-- fall_asleep(queue_names): makes this session one that is woken when jobs of these queues become ready: it listens to
-- channel() and holds the sleepers' gates, shared. Once the call is committed, and not before, look at the queues once more:
-- what was committed until then sends nothing. Jobs whose transactions looked at the gate before, and commit later, are found
-- by looking again after 10, 20, 40 ms ... up to the polling interval. Not through a transaction pooler.
-- Locks: the gates, shared, until wake_up or the end of the session; each call has to be undone by one of wake_up.
-- roles: worker
create function fall_asleep(queue_names text[]) returns void
language plpgsql security definer set search_path from current
as $$
begin
    execute format('listen %I', channel());
    perform pg_advisory_lock_shared(k) from unnest(queue_names) name, unnest(sleep_gate(name)) k;
end
$$;
comment on function fall_asleep is 'Makes this session one that is woken when jobs become ready.';
