-- resume_queue(name): lets jobs of a paused queue be claimed again and wakes workers. Raises PQ004 when there
-- is no such queue; a queue that is not paused is left as it is.
-- roles: operator
create function resume_queue(name text) returns void
language plpgsql security definer set search_path from current
as $$
begin
    update queues q set paused_at = null, pause_reason = null, updated_at = now()
    where q.name = resume_queue.name and q.paused_at is not null;
    if found then
        perform record_event('resumed', null, resume_queue.name);
        perform wake(array[resume_queue.name]);
    elsif not exists (select from queues q where q.name = resume_queue.name) then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no queue %s', to_json(resume_queue.name));
    end if;
end
$$;
comment on function resume_queue is 'Lets jobs of a paused queue be claimed again.';
