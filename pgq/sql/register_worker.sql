-- register_worker(name, queues, kinds, lease): registers a worker process and returns its id, with which
-- it claims. It must call heartbeat more often than its lease lasts, or it is declared dead.
-- roles: worker
create function register_worker(name text, queues text[], kinds text[], lease interval default '30 s')
returns bigint
language plpgsql security definer set search_path from current
as $$
declare
    new_id bigint;
begin
    if register_worker.lease is null or register_worker.lease < interval '1 second' then
        perform invalid('lease', 'must be at least 1 second');
    end if;
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
    where k is not null
    order by k
    on conflict do nothing;
    return new_id;
end
$$;
comment on function register_worker is 'Registers a worker process and returns its id. lease: how long it may be silent before its jobs are given to others.';
