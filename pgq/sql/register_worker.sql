-- register_worker(name, queues, kinds, lease): registers a worker process and returns its id, with which
-- it claims. It must call heartbeat more often than its lease lasts, or it is declared dead.
-- Raises PQ001 for a lease that is not 1 second to 1 day, and for names that break a rule: that of the worker, of a queue, of a kind.
-- roles: worker
create function register_worker(name text, queues text[], kinds text[], lease interval default '30 s')
returns bigint
language plpgsql security definer set search_path from current
as $$
declare
    new_id bigint;
begin
    if register_worker.name is null or length(register_worker.name) not between 1 and 200 then
        perform invalid('name', 'must have 1 to 200 characters');
    elsif register_worker.name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then
        perform invalid('name', 'must not have control characters');
    elsif register_worker.lease is null or register_worker.lease not between interval '1 second' and interval '1 day' then
        perform invalid('lease', 'must be 1 second to 1 day');
    end if;
    perform invalid(w.field || 's', 'each ' || p.problem[2])
    from (select 'queue' as field, 'k' as kind, q as queue from unnest(register_worker.queues) q
          union all select 'kind', k, 'q' from unnest(register_worker.kinds) k) w
    cross join lateral job_problem(w.kind, w.queue, 5, null, null, null, null, null, null, null, null, null, null, null, null) p(problem)
    where p.problem is not null;
    insert into workers (name, queues, kinds, lease)
    values (register_worker.name, coalesce(register_worker.queues, '{}'), coalesce(register_worker.kinds, '{}'),
            register_worker.lease)
    returning id into new_id;
    insert into queues (name)
    select distinct q from unnest(register_worker.queues) q
    order by q
    on conflict do nothing;
    insert into known_kinds (name)
    select distinct k from unnest(register_worker.kinds) k
    order by k
    on conflict do nothing;
    return new_id;
end
$$;
comment on function register_worker is 'Registers a worker process and returns its id. lease: how long it may be silent before its jobs are given to others.';
