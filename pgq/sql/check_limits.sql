-- check_limits(queue_name, size): raises PQ001 when args of that many bytes are too large for a queue, PQ002 when
-- the queue is full; else whether one job more takes it past its warning depth. Internal.
create function check_limits(queue_name text, size integer) returns boolean
language plpgsql stable
as $$
declare
    settings record;
begin
    select * into settings from settings_of(queue_name);
    if size > settings.max_args_bytes then
        perform invalid('args', format('must be at most %s bytes', settings.max_args_bytes));
    end if;
    return (settings.max_depth is not null or settings.warn_depth is not null)
        and check_depth(queue_name, 1, settings.max_depth, settings.warn_depth);
end
$$;
comment on function check_limits is 'Refuses a job that is too large or one too many.';
