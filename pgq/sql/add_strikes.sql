-- add_strikes(job_ids, attempts): notes failed attempts for the circuit breakers of their queues, kinds and groups. Internal: end_attempts.
-- Only adds rows, so that those whose jobs fail at the same time do not wait for each other. Who deals next counts them (tend_breakers).
create function add_strikes(job_ids bigint[], attempts integer[]) returns void
language sql
as $$
    insert into strikes (scope, name, at, job_id, attempt)
    select s.scope, s.name, clock_timestamp(), u.id, u.attempt
    from unnest(job_ids, attempts) u(id, attempt)
    cross join lateral (select queue, kind, group_name from jobs where jobs.id = u.id offset 0) j
    cross join lateral (values ('queue', j.queue), ('kind', j.kind), ('group', j.group_name)) s(scope, name)
    where exists (select from breaker_of(s.scope, s.name))
$$;
comment on function add_strikes is 'Notes failed attempts for circuit breakers.';
