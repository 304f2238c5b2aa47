-- queue_settings(queue_name): the settings in force for a queue: its own, else those of '*'. One row always.
-- roles: producer, worker, operator, reader
create function queue_settings(queue_name text)
returns table (
    paused boolean, max_depth bigint, warn_depth bigint, max_args_bytes bigint, max_attempts integer,
    timeout interval, backoff jsonb, keep_completed interval, keep_failed interval,
    keep_cancelled interval, keep_expired interval, events text, age_every interval)
language sql stable security definer set search_path from current
as $$ select * from settings_of(queue_name) $$;
comment on function queue_settings is 'Settings in force for a queue.';
