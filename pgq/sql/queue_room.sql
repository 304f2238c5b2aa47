-- queue_room(queue_name, wanted): how many jobs of a queue may start now, wanted at the most, by the limit, the pause and the circuit
-- breaker of the queue as a whole; 0 as well while somebody else deals. at: when they begin. Until the transaction ends nobody else is told of any room. Internal: claim.
-- Locks: the advisory lock "deal", if it is free.
create function queue_room(queue_name text, wanted integer, out room integer, out at timestamptz)
language plpgsql
as $$
begin
    room := 0;
    if not pg_try_advisory_xact_lock(advisory_key('deal')) then
        return;
    end if;
    at := clock_timestamp();
    perform tend_breakers();
    room := coalesce((
        select greatest(0, least(
            wanted,
            l.max_running - case when l.max_running is not null then (select count(*) from running r where r.queue = queue_name) end,
            floor(tokens_at(l.rate, l.period, l.burst, g.tokens, g.refilled_at, queue_room.at)),
            gate_room(g.paused_until, g.opened_at, g.probe_at, g.probe_id, queue_room.at)))
        from (select) one
        left join limits l on l.scope = 'queue' and l.name = queue_name
        left join gates g on g.scope = 'queue' and g.name = queue_name), wanted);
end
$$;
comment on function queue_room is 'How many jobs of a queue may start now.';
