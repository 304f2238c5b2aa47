-- check_callbacks_object(field, callbacks): raises PQ001 unless these are callbacks by their events, or null. Internal: check_callbacks and
-- enqueue_special, which name the field differently.
create function check_callbacks_object(field text, callbacks jsonb) returns void
language plpgsql stable
as $$
declare
    odd text;
begin
    if jsonb_typeof(callbacks) <> 'object' then
        perform invalid(field, 'must be a JSON object');
    end if;
    select left(key, 128) into odd
    from jsonb_object_keys(callbacks) key where key not in ('on_success', 'on_failure', 'on_retry') order by 1 limit 1;
    if found then
        perform invalid(field, format('must be on_success, on_failure or on_retry; %s is none', to_json(odd)));
    end if;
    perform check_callback(field || '.' || key, value, true) from jsonb_each(callbacks) where value <> 'null';
end
$$;
comment on function check_callbacks_object is 'Refuses what are no callbacks by their events.';
