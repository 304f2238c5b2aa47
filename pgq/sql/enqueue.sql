-- enqueue(kind, args, …): adds a job in the caller's transaction and returns its id.
--
--   select pgq.enqueue('send_mail', '{"to": 1}', queue => 'mail', delay => '5 min');
--
-- queue, priority 0 (soonest) to 9, delay or run_at, max_attempts, timeout, backoff (see backoff_problem),
-- tags, metadata (an object), ttl (expires unless started by then), result_ttl (how long the result is
-- kept), codec and payload (bytes instead of JSON args), wake_workers (false: leave it to polling).
-- Raises PQ001 for a field that breaks a rule, PQ002 for a full queue, a warning past the warning depth.
create function enqueue(
    kind text, args jsonb default null, queue text default 'default', priority integer default 5,
    delay interval default null, run_at timestamptz default null, max_attempts integer default null,
    timeout interval default null, backoff jsonb default null, tags text[] default null,
    metadata jsonb default null, ttl interval default null, result_ttl interval default null,
    codec text default null, payload bytea default null, wake_workers boolean default true
) returns bigint
language plpgsql set search_path from current
as $$
declare
    added constant record := enqueue_one(kind, args, queue, priority, delay, run_at, max_attempts, timeout,
        backoff, tags, metadata, ttl, result_ttl, codec, payload, wake_workers);
begin
    if added.near_limit then
        raise warning using
            errcode = 'PQ002',
            message = format('queue %s is past its warning depth', to_json(queue));
    end if;
    return added.job_id;
end
$$;
comment on function enqueue is 'Adds a job in the caller''s transaction and returns its id.';
