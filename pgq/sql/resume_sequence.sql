-- resume_sequence(key): lets a sequence go on that a failed job has stopped, without that job; returns the job that is next, null when
-- none waits. One that is not stopped is left as it is. To go on with the failed job, retry that. Raises PQ004 when there is no unfinished job in the sequence.
-- Locks: the row of the sequence; then what next_in_line locks.
-- roles: operator
create function resume_sequence(key text) returns bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
#variable_conflict use_column
declare
    stopped sequences;
begin
    select s.* into stopped from sequences s where s.key = resume_sequence.key for no key update;
    if not found then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no sequence %s with unfinished jobs', coalesce(to_json(key)::text, 'null'));
    end if;
    if stopped.stopped_at is not null then
        perform record_event('sequence_resumed', j.id, j.queue, null, null, operator_data(null, null, jsonb_build_object('sequence', stopped.key)))
        from jobs j where j.id = stopped.job_id;
        perform next_in_line(array[stopped.key]);
        perform notify_subscribers();
    end if;
    return (select s.job_id from sequences s where s.key = stopped.key);
end
$$;
comment on function resume_sequence is 'Lets a sequence go on without the failed job that has stopped it.';
