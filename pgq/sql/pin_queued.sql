-- pin_queued(job_ids, exclusively): keeps jobs queued until the transaction ends, and returns those that are: claims pass them by. Internal:
-- take_keys, which does not want to wait for those that run.
-- Locks, shared unless exclusively (who will move them must not wait for others who share them): rows of waiting and scheduled by job,
-- of ready by key.
create function pin_queued(job_ids bigint[], exclusively boolean) returns setof bigint
language plpgsql
as $$
#variable_conflict use_column
begin
    return query select w.job_id from waiting w where w.job_id = any(job_ids) order by w.job_id for share;
    if exclusively then
        return query select s.job_id from scheduled s where s.job_id = any(job_ids) order by s.job_id for update;
    else
        return query select s.job_id from scheduled s where s.job_id = any(job_ids) order by s.job_id for share;
    end if;
    return query select id from pin_ready(job_ids, exclusively) id;
end
$$;
comment on function pin_queued is 'Keeps jobs queued until the transaction ends.';
