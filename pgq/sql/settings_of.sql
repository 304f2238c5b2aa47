-- settings_of(queue_name): the settings in force for a queue: its own, else those of '*'.
-- One row always. Internal: without a search_path of its own, so that it can be inlined.
create function settings_of(queue_name text)
returns table (
    paused boolean, max_depth bigint, warn_depth bigint, max_args_bytes bigint, max_attempts integer,
    timeout interval, backoff jsonb, keep_completed interval, keep_failed interval,
    keep_cancelled interval, keep_expired interval, events text, age_every interval)
language sql stable
as $$
    select q.paused_at is not null,
           coalesce(q.max_depth, d.max_depth),
           coalesce(q.warn_depth, d.warn_depth),
           coalesce(q.max_args_bytes, d.max_args_bytes),
           coalesce(q.max_attempts, d.max_attempts),
           coalesce(q.timeout, d.timeout),
           coalesce(q.backoff, d.backoff),
           coalesce(q.keep_completed, d.keep_completed),
           coalesce(q.keep_failed, d.keep_failed),
           coalesce(q.keep_cancelled, d.keep_cancelled),
           coalesce(q.keep_expired, d.keep_expired),
           coalesce(q.events, d.events),
           coalesce(q.age_every, d.age_every)
    from queues d
    left join queues q on q.name = queue_name
    where d.name = '*'
$$;
comment on function settings_of is 'Settings in force for a queue.';
