-- wake_up(queue_names): gives up the sleepers' gates that fall_asleep took, so that enqueuers need not notify while this session has
-- work anyway. It goes on listening: to the requests to cancel jobs, for example.
-- roles: worker
create function wake_up(queue_names text[]) returns void
language plpgsql security definer set search_path from current
as $$
begin
    perform pg_advisory_unlock_shared(k) from unnest(queue_names) name, unnest(sleep_gate(name)) k;
end
$$;
comment on function wake_up is 'Gives up the sleepers'' gates of this session.';
