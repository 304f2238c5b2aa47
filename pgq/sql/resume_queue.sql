-- resume_queue(name, reason, actor): lets jobs of a paused queue be claimed again and wakes workers. Returns whether it was paused. Raises PQ004
-- when there is no such queue. Writes an event "resumed". Locks: the row of queues.
-- roles: operator
create function resume_queue(name text, reason text default null, actor text default null) returns boolean
language plpgsql security definer set search_path from current
as $$
begin
    update queues q set paused_at = null, paused_by = null, pause_reason = null, updated_at = now()
    where q.name = resume_queue.name and q.paused_at is not null;
    if found then
        perform record_operation('resumed', resume_queue.name, operator_data(reason, actor));
        perform wake(array[resume_queue.name]);
        return true;
    elsif not exists (select from queues q where q.name = resume_queue.name) then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no queue %s', to_json(resume_queue.name));
    end if;
    return false;
end
$$;
comment on function resume_queue is 'Lets jobs of a paused queue be claimed again. Returns whether it was paused.';
