-- check_producer(queue_names): raises 42501 unless the caller may enqueue into these queues; else the producer whose
-- grant allows it, to be written to jobs.enqueued_by: of several the caller's own. Null for owners, who may always, and for chores.
-- Internal: whatever enqueues. Those that are owners themselves need not call it; they have nothing to pay then.
create function check_producer(queue_names text[]) returns integer
language plpgsql stable
as $$
declare
    who constant oid := caller();
    granted record;
    refused text;
begin
    if is_owner(who) then
        return null;
    end if;
    select exists (select from acting a where a.pid = pg_backend_pid()) as acting,
           (array_agg(p.id order by p.role_id <> who, p.id))[1] as producer,
           array_agg(g.queue) as queues
    into granted
    from grants g
    join producers p on p.role_id = g.role_id
    where g.class = 'producer' and pg_has_role(who, g.role_id, 'usage');
    if granted.acting then
        return null;
    elsif granted.producer is not null and ('*' = any(granted.queues) or queue_names <@ granted.queues) then
        return granted.producer;
    end if;
    select q into refused from unnest(queue_names) q where q <> all(coalesce(granted.queues, '{}')) limit 1;
    raise exception using
        errcode = '42501',
        message = 'permission denied to enqueue' || coalesce(' into queue ' || to_json(left(refused, 128)), ''),
        detail = format('Asked for the role of the session, %s.', who::regrole),
        hint = 'An owner of the schema can allow it: pgq-admin grant producer ROLE --queue QUEUE.';
end
$$;
comment on function check_producer is 'Refuses to enqueue without a right to.';
