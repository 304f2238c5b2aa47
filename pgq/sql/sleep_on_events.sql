-- sleep_on_events(): makes this session one that is woken when events are written: it listens to the channel of the events and holds the
-- gates that writers try, shared. Once the call is committed look for events once more, and again after 10, 20, 40 ms ... up to the polling
-- interval: transactions that looked at the gate before send nothing. Not through a transaction pooler. Returns the channel.
-- Locks: the gates, shared, until wake_on_events or the end of the session; each call has to be undone by one of that.
-- roles: worker, operator
create function sleep_on_events() returns text
language plpgsql security definer set search_path from current
as $$
begin
    execute format('listen %I', event_channel());
    perform pg_advisory_lock_shared(event_gate() + shard) from generate_series(0, 15) shard;
    return event_channel();
end
$$;
comment on function sleep_on_events is 'Makes this session one that is woken by events.';
