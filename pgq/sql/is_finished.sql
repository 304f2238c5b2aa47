-- is_finished(job_id): whether a job has ended; null when there is no such job, or for a mere producer when others enqueued
-- it. One look-up while it has not ended: for those that wait for it. Locks nothing.
-- roles: producer, worker, operator, reader
create function is_finished(job_id bigint) returns boolean
language plpgsql stable security definer set search_path from current
as $$
begin
    if visible(array[job_id]) = '{}' or not exists (select from jobs j where j.id = is_finished.job_id) then
        return null;
    end if;
    return exists (select from results f where f.job_id = is_finished.job_id);
end
$$;
comment on function is_finished is 'Whether a job has ended; null: there is none.';
