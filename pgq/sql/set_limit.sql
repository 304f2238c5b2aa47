-- set_limit(scope, name, settings, ..., reason, actor): sets what is given by name or in the object of the limit of a queue, of a kind in all queues, or of
-- groups, and leaves the rest; null in the object takes a setting away, period and burst along with rate, and the limit goes with its
-- last one. Settings: max_running (how many of its jobs run at a time, over all workers), rate per period (how many start in that time;
-- 1 second by default) and burst (how many at once after a rest, by default rate), for groups weight (how many turns they get where
-- others get one; 1 by default), and those of a circuit breaker: after break_after failed attempts in the time break_within (1 minute by
-- default) none starts for break_for (30 seconds by default); then one does, the probe, and others once it has succeeded.
-- The name of groups may end in "*": each group whose name begins so has the limit for itself, unless a longer name fits.
--
--   select pgq.set_limit('group', 'customer/*', max_running => 5);
--   select pgq.set_limit('kind', 'send_sms', rate => 100, period => '1 min', burst => 20);
--   select pgq.set_limit('kind', 'charge', break_after => 10, break_within => '1 min', break_for => '30 s');
--
-- Jobs that run already go on. Writes an event "limit_set" unless nothing changes. Raises PQ001 for an unknown setting or a value that breaks a rule. Locks: the row of limits, then that of gates.
-- roles: operator
create function set_limit(
    scope text, name text, settings jsonb default '{}', max_running integer default null, rate integer default null,
    period interval default null, burst integer default null, weight integer default null, break_after integer default null,
    break_within interval default null, break_for interval default null, reason text default null, actor text default null) returns void
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
declare
    entry record;
    current limits;
    was limits;
begin
    perform check_scope(scope, name);
    if jsonb_typeof(settings) is distinct from 'object' then
        perform invalid('settings', 'must be a JSON object');
    end if;
    settings := settings || jsonb_strip_nulls(jsonb_build_object(
        'max_running', max_running, 'rate', rate, 'period', period, 'burst', burst, 'weight', weight,
        'break_after', break_after, 'break_within', break_within, 'break_for', break_for));
    insert into limits (scope, name) values (scope, name) on conflict do nothing;
    select * into current from limits l where l.scope = set_limit.scope and l.name = set_limit.name for update;
    was := current;
    for entry in select key, nullif(value, 'null') as value from jsonb_each(settings) order by key loop
        if entry.key not in ('max_running', 'rate', 'period', 'burst', 'weight', 'break_after', 'break_within', 'break_for') then
            perform invalid(entry.key, 'is not a setting of a limit');
        end if;
        begin
            current := jsonb_populate_record(current, jsonb_build_object(entry.key, entry.value));
        exception when data_exception then
            perform invalid(entry.key, format('has a value that cannot be read: %s', sqlerrm));
        end;
    end loop;
    if current.rate is not null and not settings ? 'period' then
        current.period := coalesce(current.period, '1 s');
    elsif current.rate is null and not settings ? 'period' then
        current.period := null;
    end if;
    if current.rate is null and not settings ? 'burst' then
        current.burst := null;
    end if;
    if current.break_after is not null then
        current.break_within := coalesce(current.break_within, case when not settings ? 'break_within' then interval '1 min' end);
        current.break_for := coalesce(current.break_for, case when not settings ? 'break_for' then interval '30 s' end);
    elsif settings ? 'break_after' then
        current.break_within := case when settings ->> 'break_within' is not null then current.break_within end;
        current.break_for := case when settings ->> 'break_for' is not null then current.break_for end;
    end if;
    perform check_limit(current);
    if (current.max_running, current.rate, current.weight, current.break_after) is null then
        delete from limits l where l.scope = set_limit.scope and l.name = set_limit.name;
        perform drop_gate(scope, name);
    else
        update limits l
        set (max_running, rate, period, burst, weight, break_after, break_within, break_for, updated_at)
          = (current.max_running, current.rate, current.period, current.burst, current.weight, current.break_after, current.break_within,
             current.break_for, now())
        where l.scope = set_limit.scope and l.name = set_limit.name;
    end if;
    if was is distinct from current then
        perform record_operation('limit_set', case scope when 'queue' then name end,
            operator_data(reason, actor, jsonb_build_object('scope', scope, 'name', name, 'settings', changes(to_jsonb(was), to_jsonb(current)))));
    end if;
    perform wake_turns(scope, name);
end
$$;
comment on function set_limit is 'Sets how many jobs of a queue, a kind or a group run at a time and start per period, how many turns a group gets, and when its circuit breaker opens.';
