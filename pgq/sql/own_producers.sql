-- own_producers(): the producers with whose right the caller enqueues: its database role, and those that it is
-- a member of. What was enqueued with these is its own. Locks nothing.
-- roles: producer, reader, operator, worker
create function own_producers() returns integer[]
language sql stable security definer set search_path from current
as $$
    select array(select p.id from producers p where pg_has_role(caller(), p.role_id, 'usage'))
$$;
comment on function own_producers is 'Producers with whose right the caller enqueues.';
