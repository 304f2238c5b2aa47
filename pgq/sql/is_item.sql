-- is_item(job_id, map_id): whether a job is one of the items of a map. Internal.
create function is_item(job_id bigint, map_id bigint) returns boolean
language sql stable
as $$
    select exists (select from jobs j where j.id = is_item.job_id and (j.spec ->> 'map')::bigint = map_id)
$$;
comment on function is_item is 'Whether a job is an item of a map.';
