-- set_consumer(name, queues, types, keep, start_at): creates a consumer of events, or sets which events it wants (null: all) and for how long
-- they are kept for it at most when it does not read. start_at is where a new one begins: now, beginning (the oldest event that is kept) or an
-- event's id, behind which it begins; one that exists stays where it is (reset_consumer). Returns created, changed or unchanged.
-- Raises PQ001 when a field breaks a rule. Locks: its row.
-- roles: worker, operator
create function set_consumer(
    name text, queues text[] default null, types text[] default null, keep interval default '7 days', start_at text default 'now')
returns text
language plpgsql security definer set search_path from current
as $$
declare
    old consumers;
begin
    if set_consumer.start_at is null or set_consumer.start_at not in ('now', 'beginning') and set_consumer.start_at !~ '^[0-9]{1,18}$' then
        perform invalid('start_at', 'must be now, beginning or the id of an event');
    end if;
    perform check_consumer(set_consumer.name, set_consumer.queues, set_consumer.types, set_consumer.keep);
    select * into old from consumers c where c.name = set_consumer.name for update;
    if found then
        if (old.queues, old.types, old.keep) is not distinct from (set_consumer.queues, set_consumer.types, set_consumer.keep) then
            return 'unchanged';
        end if;
        update consumers c
        set queues = set_consumer.queues, types = set_consumer.types, keep = set_consumer.keep, updated_at = now()
        where c.name = set_consumer.name;
        return 'changed';
    end if;
    insert into consumers as c (name, queues, types, keep, from_xid, from_open, to_xid, to_open, to_open_ids, to_id, after_id, exhausted)
    select set_consumer.name, set_consumer.queues, set_consumer.types, set_consumer.keep, s.from_xid, s.from_open, s.to_xid, s.to_open,
           s.to_open_ids, s.to_id, s.after_id, s.exhausted
    from consumer_start(start_at) s
    on conflict do nothing;
    -- Not found: somebody created it at the same moment; it is there by now, and this call sets it.
    return case when found then 'created'
                else set_consumer(set_consumer.name, set_consumer.queues, set_consumer.types, set_consumer.keep, start_at) end;
end
$$;
comment on function set_consumer is 'Creates or changes a consumer of events.';
