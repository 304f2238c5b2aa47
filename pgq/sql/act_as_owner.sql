-- act_as_owner(begins): lets what this session enqueues from now on be enqueued as by an owner of the schema, or ends that. For
-- chores: the worker that does them need not be allowed to enqueue. Internal, between the two nothing runs but the
-- schema's own functions; an error in between takes it back. Does nothing for owners. See check_producer.
create function act_as_owner(begins boolean) returns void
language plpgsql
as $$
begin
    if not begins then
        delete from acting a where a.pid = pg_backend_pid();
    elsif not is_owner(caller()) then
        insert into acting (pid) values (pg_backend_pid()) on conflict do nothing;
    end if;
end
$$;
comment on function act_as_owner is 'Lets chores enqueue whoever does them.';
