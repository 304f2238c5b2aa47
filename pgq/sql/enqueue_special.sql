-- enqueue_special(...): what enqueue does with a job that has a group or callbacks, is to be unique or is in a sequence. Internal.
create function enqueue_special(
    kind text, args jsonb, queue text, priority integer, delay interval, run_at timestamptz, max_attempts integer, timeout interval,
    backoff jsonb, tags text[], metadata jsonb, ttl interval, result_ttl interval, codec text, payload bytea,
    wake_workers boolean, uniqueness jsonb, group_name text, sequence text, on_failure text, callbacks jsonb)
returns bigint
language plpgsql
as $$
#variable_conflict use_variable
declare
    problem constant text[] := coalesce(
        job_problem(kind, queue, priority, delay, run_at, max_attempts, timeout, backoff, tags, metadata, ttl, result_ttl,
                    codec, payload, args),
        case when uniqueness is not null then unique_problem(uniqueness) end,
        group_problem(group_name), sequence_problem(sequence, on_failure, uniqueness));
begin
    perform check_producer(queues_named(jsonb_build_array(jsonb_build_object('callbacks', callbacks)), coalesce(queue, 'default')));
    if problem is not null then
        perform invalid(problem[1], problem[2]);
    end if;
    perform check_callbacks_object('callbacks', callbacks);
    return (select j.job_id from enqueue_jobs(jsonb_build_array(
        jsonb_strip_nulls(jsonb_build_object(
            'kind', kind, 'queue', queue, 'priority', priority, 'delay', delay, 'run_at', run_at, 'max_attempts', max_attempts,
            'timeout', timeout, 'tags', tags, 'ttl', ttl, 'result_ttl', result_ttl, 'codec', codec, 'group', group_name,
            'payload', encode(payload, 'base64'), 'sequence', sequence, 'on_failure', on_failure))
        || jsonb_build_object('args', args, 'backoff', backoff, 'metadata', metadata, 'unique', uniqueness,
                              'callbacks', callbacks)), wake_workers) j);
end
$$;
comment on function enqueue_special is 'Adds a job that has a group or callbacks, is to be unique or is in a sequence.';
