-- events_wanted(): whether anybody wants the events of the hot path (enqueued, claimed, completed):
-- a live subscriber, or a queue whose level is 'all'. False costs two look-ups per batch and nothing per job.
-- Internal, as all functions without a search_path of their own: called by functions that have one.
create function events_wanted() returns boolean
language plpgsql stable
as $$
begin
    return exists (select from subscribers where alive_until > now())
        or exists (select from queues where events = 'all');
end
$$;
comment on function events_wanted is 'Whether anybody wants the events of the hot path.';
