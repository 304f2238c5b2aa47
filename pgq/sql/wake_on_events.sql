-- wake_on_events(): gives up what sleep_on_events took but for the channel: writers send nothing to this session any more.
-- roles: worker, operator
create function wake_on_events() returns void
language plpgsql security definer set search_path from current
as $$
begin
    perform pg_advisory_unlock_shared(event_gate() + shard) from generate_series(0, 15) shard;
end
$$;
comment on function wake_on_events is 'Gives up the gates of the events.';
