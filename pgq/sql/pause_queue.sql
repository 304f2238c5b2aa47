-- pause_queue(name, reason, actor): keeps jobs of a queue from being claimed; running ones go on. Returns whether it was not paused before: the
-- first pause's time stays, and a new reason, or actor, takes the place of those before. actor is who does it, the session's user by default.
-- Creates the queue. '*' cannot be paused. Writes an event "paused". Locks: the row of queues.
-- roles: operator
create function pause_queue(name text, reason text default null, actor text default null) returns boolean
language plpgsql security definer set search_path from current
as $$
declare
    was queues;
begin
    if coalesce(pause_queue.name, '*') = '*' or length(pause_queue.name) not between 1 and 128 then
        perform invalid('queue', 'must have 1 to 128 characters and not be "*"');
    end if;
    insert into queues (name) values (pause_queue.name) on conflict on constraint queues_pkey do nothing;
    select q.* into was from queues q where q.name = pause_queue.name for update;
    if was.paused_at is not null and reason is null and actor is null then
        return false;
    end if;
    update queues q
    set paused_at = coalesce(was.paused_at, now()), paused_by = coalesce(actor, session_user::text),
        pause_reason = coalesce(reason, was.pause_reason), updated_at = now()
    where q.name = pause_queue.name;
    perform record_operation('paused', pause_queue.name, operator_data(reason, actor));
    return was.paused_at is null;
end
$$;
comment on function pause_queue is 'Keeps jobs of a queue from being claimed; running ones go on. reason: for those who wonder. Returns whether it was not paused before.';
