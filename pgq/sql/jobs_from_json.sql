-- jobs_from_json(jobs): the jobs of a JSON array as rows, with the defaults of enqueue. Internal.
create function jobs_from_json(jobs jsonb)
returns table (
    index bigint, kind text, args jsonb, queue text, priority integer, delay interval, run_at timestamptz,
    max_attempts integer, timeout interval, backoff jsonb, tags text[], metadata jsonb, ttl interval,
    result_ttl interval, codec text, payload bytea, uniqueness jsonb, group_name text, sequence text, on_failure text,
    callbacks jsonb)
language sql stable
as $$
    select e.ordinality - 1, r.kind, nullif(e.value -> 'args', 'null'), coalesce(r.queue, 'default'),
           coalesce(r.priority, 5), r.delay, r.run_at, r.max_attempts, r.timeout, nullif(r.backoff, 'null'),
           r.tags, nullif(r.metadata, 'null'), r.ttl, r.result_ttl, r.codec, decode(r.payload, 'base64'), nullif(e.value -> 'unique', 'null'),
           r."group", r.sequence, r.on_failure, nullif(e.value -> 'callbacks', 'null')
    from jsonb_array_elements(jobs) with ordinality e,
         jsonb_to_record(e.value) as r(
             kind text, queue text, priority integer, delay interval, run_at timestamptz, max_attempts integer,
             timeout interval, backoff jsonb, tags text[], metadata jsonb, ttl interval, result_ttl interval,
             codec text, payload text, "group" text, sequence text, on_failure text)
$$;
comment on function jobs_from_json is 'The jobs of a JSON array as rows.';
