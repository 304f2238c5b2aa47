-- sleep_gate(queue_names): the keys of the advisory locks that a worker that sleeps on these queues holds, shared,
-- on its LISTEN connection, in the order of the names. See wake.
create function sleep_gate(queue_names text[]) returns bigint[]
language sql stable set search_path from current
as $$
    select array_agg(advisory_key('sleep/' || u.name) order by u.ordinality)
    from unnest(queue_names) with ordinality u(name, ordinality)
$$;
comment on function sleep_gate is 'Advisory locks of workers that sleep on queues.';
