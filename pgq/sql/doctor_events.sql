-- doctor_events(late): consumers of events that fail, are behind, are forgotten, have lost events, or wait for what is not written, and events
-- of another server. late: for how long an event may be unread. Internal: doctor.
create function doctor_events(late interval)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
set jit = off set enable_seqscan = off
as $$
    with c as (
        select n.name, n.failures, n.error, n.keep, n.queues, n.types, n.lost_at, n.read_at, l.behind, l.exact, statement_timestamp() - l.oldest_at as lag,
               coalesce(n.read_at, n.created_at) < statement_timestamp() - interval '1 day' as forgotten
        from consumers n
        cross join lateral consumer_lag(n.name) l
    )
    select 'events_lost', 'critical', 'consumer ' || name,
           format('Events that it had not read were deleted, the last time at %s: they were older than its keep, %s.', to_char(lost_at, 'YYYY-MM-DD HH24:MI:SS TZ'), keep),
           format('run it, let it keep more (set_consumer), and when what was missed is made good: select %1$I.reset_consumer(%2$L, ''now''); or delete it: select %1$I.delete_consumer(%2$L);',
                  current_schema(), name)
    from c where lost_at is not null
    union all
    select 'consumer_fails', 'warning', 'consumer ' || name,
           format('The next event has failed %s times in a row, and those behind it wait: %s', failures, left(error, 200)),
           'mend its handler, or let it give up: Consumer.MaxFailures'
    from c where failures >= 3
    union all
    select 'consumer_forgotten', 'warning', 'consumer ' || name,
           format('Nobody has read for it for a day%s, and events are kept for it for up to %s. Run it, or delete it.', coalesce(', since ' || to_char(read_at, 'YYYY-MM-DD HH24:MI:SS TZ'), ''), keep),
           format('select %I.delete_consumer(%L);', current_schema(), name)
    from c where forgotten and lag > interval '1 day'
    union all
    select 'consumer_behind', 'warning', 'consumer ' || name,
           format('It has %s%s events to read, the oldest for %s: it is not running, or does not keep up.', case when exact then '' else 'at least ' end,
                  behind, date_trunc('second', lag)),
           'start it, take larger batches, or let its handlers do less'
    from c where lag > late and not (forgotten and lag > interval '1 day')
    union all
    select 'events_not_written', 'info', 'consumer ' || name,
           format('It waits for %s, which are written at level all, and no queue has that.', (select string_agg(t.type, ', ') from event_types() t where t.usual and t.type = any(c.types))),
           (select string_agg(format('select %I.set_queue(%L, events => ''all'');', current_schema(), q), ' ') from unnest(coalesce(c.queues, '{*}')) q)
    from c
    where types <@ array(select t.type from event_types() t where t.usual) and not exists (select from queues q where q.events = 'all')
    union all
    select 'events_of_another_server', 'critical', 'events',
           'They, or positions of consumers, were restored from a dump of another server, whose transactions are numbered otherwise: consumers may miss events.',
           format('select %I.adopt_events();', current_schema())
    -- Ahead by more than transactions that have begun since the snapshot can be.
    where exists (select from consumers n where n.to_xid::text::bigint > pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1000000)
       or exists (select from (select e.xid from events e order by e.id desc limit 1000) e where e.xid >= pg_snapshot_xmax(pg_current_snapshot()))
       or exists (select from (select e.xid from events e order by e.id limit 1000) e where e.xid >= pg_snapshot_xmax(pg_current_snapshot()))
$$;
comment on function doctor_events is 'Findings on events and their consumers.';
