-- enqueue(kind, args, ...): adds a job in the caller's transaction and returns its id.
--
--   select pgq.enqueue('send_mail', '{"to": 1}', queue => 'mail', delay => '5 min');
--
-- queue, priority 0 (soonest) to 9, delay or run_at, max_attempts, timeout, backoff (see backoff_problem),
-- tags, metadata (an object), ttl (expires unless started by then), result_ttl (how long the result is
-- kept), codec and payload (bytes instead of JSON args), wake_workers (false: leave it to polling), uniqueness (see
-- unique_problem: where an earlier job bars this one its id is returned; enqueue_jobs tells which it was), group_name (the group with
-- which it shares limits and takes turns, see set_limit), sequence (jobs with the same one run one after
-- the other) and on_failure (what becomes of those behind it if it fails for good: stop, the default, skip or
-- continue), callbacks (jobs to be enqueued when it has succeeded, failed for good or is retried: {"on_failure": {"kind": "alarm"}}, see call_back).
-- Raises PQ001 for a field that breaks a rule, PQ002 for a full queue, 42501 for a producer that may
-- not enqueue into it; a warning past the warning depth.
-- roles: producer
create function enqueue(
    kind text, args jsonb default null, queue text default 'default', priority integer default 5,
    delay interval default null, run_at timestamptz default null, max_attempts integer default null,
    timeout interval default null, backoff jsonb default null, tags text[] default null,
    metadata jsonb default null, ttl interval default null, result_ttl interval default null,
    codec text default null, payload bytea default null, wake_workers boolean default true,
    uniqueness jsonb default null, group_name text default null, sequence text default null, on_failure text default null, callbacks jsonb default null
) returns bigint
language plpgsql security definer set search_path from current
as $$
declare
    added record;
begin
    if uniqueness is not null or group_name is not null or sequence is not null or on_failure is not null
       or callbacks is not null then
        return enqueue_special(kind, args, queue, priority, delay, run_at, max_attempts, timeout,
            backoff, tags, metadata, ttl, result_ttl, codec, payload, wake_workers, uniqueness, group_name, sequence, on_failure,
            callbacks);
    end if;
    added := enqueue_one(kind, args, queue, priority, delay, run_at, max_attempts, timeout,
        backoff, tags, metadata, ttl, result_ttl, codec, payload, wake_workers);
    if added.near_limit then
        raise warning using
            errcode = 'PQ002',
            message = format('queue %s is past its warning depth', to_json(queue));
    end if;
    return added.job_id;
end
$$;
comment on function enqueue is 'Adds a job in the caller''s transaction and returns its id. delay or run_at: not before; priority: 0 (soonest) to 9; ttl: expires unless started by then; result_ttl: how long its result is kept; backoff: pauses between attempts as JSON; codec and payload: bytes in place of JSON args; wake_workers: false leaves it to polling; uniqueness: not if there is one like it; group_name: whose limits and turns it shares; sequence: runs after those enqueued with the same one before; on_failure: what becomes of those behind it: stop, skip or continue; callbacks: what is enqueued when it succeeds, fails or is retried.';
