-- explain_queue(queue_name): says that a queue is paused; no rows when it is not. Internal: explain.
create function explain_queue(queue_name text) returns table (reason text, detail text, job_id bigint)
language sql stable
as $$
    select 'queue paused',
           format('queue %s is paused%s for %s%s', q.name, ' by ' || q.paused_by, explain_age(statement_timestamp() - q.paused_at), ': ' || q.pause_reason),
           null::bigint
    from queues q
    where q.name = queue_name
      and q.paused_at is not null
$$;
comment on function explain_queue is 'Says that a queue is paused.';
