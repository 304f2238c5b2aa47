-- sleep_gate(queue_name): the keys of the advisory locks that a worker that sleeps on a queue holds, shared, on
-- its LISTEN connection. Sixteen: an enqueuer tries one of them alone, for a microsecond, and would take
-- another enqueuer that does so at the same moment for a sleeper. See wake.
-- roles: worker, operator, reader
create function sleep_gate(queue_name text) returns bigint[]
language sql stable security definer set search_path from current
as $$ select array(select advisory_key('sleep/' || queue_name) + shard from generate_series(0, 15) shard) $$;
comment on function sleep_gate is 'Advisory locks of workers that sleep on a queue.';
