-- wake_turns(scope, name): wakes the workers of queues in which jobs may have waited for a limit that has changed. Internal.
create function wake_turns(scope text, name text) returns void
language sql
as $$
    select wake(array(
        select wake_turns.name where wake_turns.scope = 'queue'
        union
        select b.queue from backlogs b
        where wake_turns.scope = 'kind' and b.kind = wake_turns.name
           or wake_turns.scope = 'group' and (b.group_name = wake_turns.name
                or right(wake_turns.name, 1) = '*' and starts_with(b.group_name, rtrim(wake_turns.name, '*')))))
$$;
comment on function wake_turns is 'Wakes the workers of queues whose jobs a limit concerns.';
