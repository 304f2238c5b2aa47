-- job_problem(...): the first rule that a job to be enqueued breaks, as {field, rule}; null when none.
-- The same rules stand in Go (pgq/validate.go) and, as far as they can, as constraints on jobs.
create function job_problem(
    kind text, queue text, priority integer, delay interval, run_at timestamptz,
    max_attempts integer, timeout interval, backoff jsonb, tags text[], metadata jsonb,
    ttl interval, result_ttl interval, codec text, payload bytea, args jsonb
) returns text[]
language plpgsql immutable
as $$
begin
    return case
        when kind is null or length(kind) not between 1 and 128 then array['kind', 'must have 1 to 128 characters']
        when kind collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then array['kind', 'must not have control characters']
        when queue is null or length(queue) not between 1 and 128 then array['queue', 'must have 1 to 128 characters']
        when queue collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then array['queue', 'must not have control characters']
        when queue = '*' then array['queue', 'must not be "*", which stands for the defaults of all queues']
        when priority is null or priority not between 0 and 9 then array['priority', 'must be 0 to 9']
        when delay is not null and run_at is not null then array['delay', 'must not be given together with run_at']
        when delay < interval '0' then array['delay', 'must not be negative']
        when delay > interval '100 years' then array['delay', 'must be at most 100 years']
        when run_at < '0001-01-01 00:00+00' or run_at >= '10000-01-01 00:00+00'
            then array['run_at', 'must be in the years 1 to 9999']
        when max_attempts < 1 then array['max_attempts', 'must be at least 1']
        when timeout <= interval '0' then array['timeout', 'must be positive']
        when timeout > interval '100 years' then array['timeout', 'must be at most 100 years']
        when ttl <= interval '0' then array['ttl', 'must be positive']
        when ttl > interval '100 years' then array['ttl', 'must be at most 100 years']
        when result_ttl < interval '0' then array['result_ttl', 'must not be negative']
        when result_ttl > interval '100 years' then array['result_ttl', 'must be at most 100 years']
        when backoff is not null and backoff_problem(backoff) is not null then array['backoff', backoff_problem(backoff)]
        when cardinality(tags) > 64 then array['tags', 'must be at most 64']
        when array_ndims(tags) > 1 then array['tags', 'must be a list of texts']
        when array_position(tags, null) is not null then array['tags', 'must not be null']
        when metadata is not null and jsonb_typeof(metadata) <> 'object' then array['metadata', 'must be a JSON object']
        when codec = '' then array['codec', 'must not be empty']
        when (codec is null) <> (payload is null) then array['payload', 'must be given together with its codec']
        when args is not null and payload is not null then array['args', 'must not be given together with a payload']
    end;
end
$$;
comment on function job_problem is 'First rule that a job to be enqueued breaks, as {field, rule}.';
