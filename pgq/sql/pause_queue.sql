-- pause_queue(name, reason): keeps jobs of a queue from being claimed; running ones go on. Idempotent: the
-- first pause's time and reason stay. Creates the queue. '*' cannot be paused.
-- roles: operator
create function pause_queue(name text, reason text default null) returns void
language plpgsql security definer set search_path from current
as $$
begin
    if coalesce(pause_queue.name, '*') = '*' or length(pause_queue.name) not between 1 and 128 then
        perform invalid('queue', 'must have 1 to 128 characters and not be "*"');
    end if;
    insert into queues as q (name, paused_at, pause_reason)
    values (pause_queue.name, now(), reason)
    on conflict on constraint queues_pkey do update
    set paused_at = now(), pause_reason = excluded.pause_reason, updated_at = now()
    where q.paused_at is null;
    if found then
        perform record_event('paused', null, pause_queue.name, null, null,
                             jsonb_strip_nulls(jsonb_build_object('reason', reason)));
    end if;
end
$$;
comment on function pause_queue is 'Keeps jobs of a queue from being claimed; running ones go on. reason: for those who wonder.';
