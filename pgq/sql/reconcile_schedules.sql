-- reconcile_schedules(declared_by, schedules): makes the schedules of a declarer be those of a JSON array, all or none: creates and changes those that it
-- lists, and deletes those that this declarer has declared before and does not list any more. Outcome by name: created,
-- changed, unchanged, deleted; taken: there is one of this name that somebody else declares or that was made by hand,
-- which is left as it is. A pause stays.
--
--   select * from pgq.reconcile_schedules('billing', '[{"name": "invoices", "spec": "@monthly", "kind": "send_invoices"}]');
--
-- Fields are the arguments of set_schedule. Raises PQ001 with the index and the field. Locks: an advisory lock of the declarer, then
-- rows of schedules by name.
-- roles: operator
create function reconcile_schedules(declared_by text, schedules jsonb) returns table (name text, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    who constant text := reconcile_schedules.declared_by;
    entry record;
    listed text[];
    bad text;
    field text;
    rule text;
begin
    if who is null or length(who) not between 1 and 128 then
        perform invalid('declared_by', 'must have 1 to 128 characters');
    elsif jsonb_typeof(reconcile_schedules.schedules) is distinct from 'array' then
        perform invalid('schedules', 'must be a JSON array');
    end if;
    perform pg_advisory_xact_lock(advisory_key('schedules/' || who));
    listed := array(select e ->> 'name' from jsonb_array_elements(reconcile_schedules.schedules) e where jsonb_typeof(e) = 'object');
    for entry in
        select e.value, e.ordinality - 1 as index
        from jsonb_array_elements(reconcile_schedules.schedules) with ordinality e
        order by e.value ->> 'name', e.ordinality
    loop
        if jsonb_typeof(entry.value) <> 'object' then
            perform invalid(format('schedules[%s]', entry.index), 'must be a JSON object');
        end if;
        select key into bad from jsonb_object_keys(entry.value) key
        where key not in ('name', 'spec', 'kind', 'args', 'options', 'dag', 'zone', 'jitter', 'starts_at', 'ends_at', 'max_runs',
                          'missed', 'missed_limit', 'overlap') limit 1;
        if found then
            perform invalid(format('schedules[%s]', entry.index), format('has an unknown field %s', to_json(left(bad, 60))));
        elsif cardinality(array_positions(listed, entry.value ->> 'name')) > 1 then
            perform invalid(format('schedules[%s].name', entry.index), 'must not be listed twice');
        end if;
        if exists (select from schedules s where s.name = entry.value ->> 'name' and s.declared_by is distinct from who) then
            return query select entry.value ->> 'name', 'taken';
            continue;
        end if;
        begin
            return query
                select entry.value ->> 'name', set_schedule_json(entry.value, who);
        exception when sqlstate 'PQ001' then
            get stacked diagnostics field = column_name, rule = pg_exception_detail;
            perform invalid(format('schedules[%s].%s', entry.index, field), rule);
        end;
    end loop;
    for name in
        select s.name from schedules s where s.declared_by = who and s.name <> all(listed) order by s.name for update
    loop
        perform delete_schedule(name);
        outcome := 'deleted';
        return next;
    end loop;
end
$$;
comment on function reconcile_schedules is 'Makes the schedules of a declarer be those of a list.';
