-- check_depth(queue_name, adding, max_depth, warn_depth): raises PQ002 when adding that many jobs takes
-- the queue past its maximum depth; else whether it takes it past its warning depth.
-- Concurrent enqueuers do not see each other's uncommitted jobs: the bound is exact for committed jobs.
create function check_depth(queue_name text, adding bigint, max_depth bigint, warn_depth bigint)
returns boolean
language plpgsql stable
as $$
declare
    depth constant bigint := queue_depth(queue_name, greatest(max_depth, warn_depth) + 1) + adding;
begin
    if depth > max_depth then
        raise exception using
            errcode = 'PQ002',
            message = format('queue %s is full: its maximum depth is %s', to_json(queue_name), max_depth),
            hint = 'Enqueue later, or raise the queue''s max_depth.';
    end if;
    return coalesce(depth > warn_depth, false);
end
$$;
comment on function check_depth is 'Refuses to fill a queue past its maximum depth.';
