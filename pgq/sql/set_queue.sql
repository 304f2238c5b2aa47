-- set_queue(name, settings, ..., reason, actor): sets what is given by name or in the object and leaves the rest; null in the object puts a
-- setting back to the default, the setting of queue '*'. Creates the queue. Settings: max_depth, warn_depth, max_args_bytes,
-- max_attempts, timeout, backoff, keep_completed, keep_failed, keep_cancelled, keep_expired (intervals),
-- events (none, changes, all), age_every (an interval: a job counts as one priority sooner for each such time that it has waited).
--
--   select pgq.set_queue('mail', max_depth => 10000, keep_completed => '7 days');
--   select pgq.set_queue('mail', '{"max_depth": null}');
--
-- Writes an event "queue_set" unless nothing changes. Raises PQ001 for an unknown setting or a value that breaks a rule.
-- roles: operator
create function set_queue(
    name text, settings jsonb default '{}', max_depth bigint default null, warn_depth bigint default null,
    max_args_bytes bigint default null, max_attempts integer default null, timeout interval default null,
    backoff jsonb default null, keep_completed interval default null, keep_failed interval default null,
    keep_cancelled interval default null, keep_expired interval default null, events text default null,
    age_every interval default null, reason text default null, actor text default null) returns void
language plpgsql security definer set search_path from current
as $$
declare
    current queues;
    was queues;
    entry record;
    broken_rule text;
begin
    if set_queue.name is null or length(set_queue.name) not between 1 and 128 then
        perform invalid('queue', 'must have 1 to 128 characters');
    elsif jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    end if;
    settings := settings || jsonb_strip_nulls(jsonb_build_object(
        'max_depth', max_depth, 'warn_depth', warn_depth, 'max_args_bytes', max_args_bytes, 'max_attempts', max_attempts,
        'timeout', timeout, 'backoff', backoff, 'keep_completed', keep_completed, 'keep_failed', keep_failed,
        'keep_cancelled', keep_cancelled, 'keep_expired', keep_expired, 'events', events,
        'age_every', age_every));
    for entry in select key, value from jsonb_each(settings) loop
        if entry.key not in ('max_depth', 'warn_depth', 'max_args_bytes', 'max_attempts', 'timeout', 'backoff',
                             'keep_completed', 'keep_failed', 'keep_cancelled', 'keep_expired', 'events', 'age_every') then
            perform invalid(entry.key, 'is not a setting of a queue');
        elsif entry.key = 'backoff' and backoff_problem(nullif(entry.value, 'null')) is not null then
            perform invalid('backoff', backoff_problem(entry.value));
        end if;
    end loop;
    insert into queues (name) select set_queue.name where set_queue.name <> '*' on conflict do nothing;
    select * into current from queues q where q.name = set_queue.name for update;
    was := current;
    for entry in select key, nullif(value, 'null') as value from jsonb_each(settings) loop
        begin
            current := jsonb_populate_record(current, jsonb_build_object(entry.key, entry.value));
            update queues q
            set (max_depth, warn_depth, max_args_bytes, max_attempts, timeout, backoff, keep_completed, keep_failed,
                 keep_cancelled, keep_expired, events, age_every, updated_at)
              = (current.max_depth, current.warn_depth, current.max_args_bytes, current.max_attempts, current.timeout,
                 current.backoff, current.keep_completed, current.keep_failed, current.keep_cancelled,
                 current.keep_expired, current.events, current.age_every, now())
            where q.name = set_queue.name;
        exception
            when check_violation then
                get stacked diagnostics broken_rule = constraint_name;
                perform invalid(entry.key, case broken_rule
                    when 'queues_depths_are_positive' then 'must be at least 1'
                    when 'queues_max_args_bytes_is_positive' then 'must be at least 1'
                    when 'queues_max_attempts_is_positive' then 'must be at least 1'
                    when 'queues_timeout_is_positive' then 'must be positive'
                    when 'queues_keep_is_not_negative' then 'must not be negative'
                    when 'queues_age_every_is_1_millisecond_to_1_year' then 'must be 1 millisecond to 1 year'
                    when 'queues_events_is_a_level' then 'must be none, changes or all'
                    when 'queues_defaults_are_complete' then 'must have a value: it is the default of all queues'
                    else format('breaks the rule %s', broken_rule) end);
            when data_exception then
                perform invalid(entry.key, format('cannot be read: %s', sqlerrm));
        end;
    end loop;
    if was is distinct from current then
        perform record_operation('queue_set', set_queue.name, operator_data(reason, actor, jsonb_build_object('settings', changes(to_jsonb(was), to_jsonb(current)))));
    end if;
end
$$;
comment on function set_queue is 'Sets settings of a queue: those given by name or in the object; null in the object puts one back to the default. name ''*'': the defaults of all queues.';
