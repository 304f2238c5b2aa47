-- check_holders(job_ids): raises 42501 when one of the jobs, which have keys that the caller asks for, is neither visible to the caller nor in a queue
-- into which it may enqueue: then neither its id nor that it is there in place of a new one is to be told. Internal: whatever finds
-- that a unique key or that of a DAG is taken. Locks nothing.
create function check_holders(job_ids bigint[]) returns void
language plpgsql stable
as $$
begin
    perform from jobs j
    where j.id = any(array(select id from unnest(job_ids) id where id is not null except select unnest(visible(job_ids))))
      and not exists (
          select from grants g
          where g.class = 'producer' and g.queue in ('*', j.queue) and pg_has_role(caller(), g.role_id, 'usage'));
    if found then
        raise exception using
            errcode = '42501',
            message = 'permission denied: the key is that of a job in a queue into which the caller may not enqueue',
            detail = format('Asked for the role of the session, %s. Keys are shared by all queues and producers.', caller()::regrole),
            hint = 'Begin keys with something of your own.';
    end if;
end
$$;
comment on function check_holders is 'Refuses to tell of jobs that have a key and are not the caller''s concern.';
