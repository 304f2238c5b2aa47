-- changes(before, after): the fields of an object that are others than before, as they are now. Internal: events of settings.
create function changes(before jsonb, after jsonb) returns jsonb
language sql immutable
as $$
    select coalesce(jsonb_object_agg(a.key, a.value), '{}') from jsonb_each(after) a where a.value is distinct from before -> a.key and a.key <> 'updated_at'
$$;
comment on function changes is 'Fields of an object that have changed.';
