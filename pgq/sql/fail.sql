-- fail(worker_id, job_ids, attempts, errors, delays, retryable, details): says that attempts failed.
-- A retryable attempt (the default) runs again after its delay (null: after the backoff of the job, its
-- kind, the queue or '*') while it has attempts left; else the job ends as failed. Errors are cut at 20,000
-- characters; details (an object per attempt: stack ...) go to the events,
-- error and stack to attempt_errors (job_errors). Raises PQ001 for arrays that are not of one length, and for delays of more than 100 years.
-- Returns the jobs that were ended and where they are now: ready, scheduled, failed or cancelled.
-- A missing job: its lease is lost; nothing was changed for it.
-- roles: worker
create function fail(
    worker_id bigint, job_ids bigint[], attempts integer[], errors text[], delays interval[] default null,
    retryable boolean[] default null, details jsonb[] default null)
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform check_parallel(
        '{job_ids,attempts,errors,delays,retryable,details}',
        array[array_dims(job_ids), array_dims(attempts), array_dims(errors), array_dims(delays), array_dims(retryable), array_dims(details)]);
    if interval '100 years' < any(delays) then
        perform invalid('delays', 'must be at most 100 years');
    end if;
    return query
        select * from end_attempts(
            fail.worker_id, job_ids, attempts,
            array(select case when coalesce(retryable[i], true) then 'retry' else 'fail' end
                  from generate_subscripts(job_ids, 1) i),
            delays, errors, details);
end
$$;
comment on function fail is 'Says that attempts failed. They run again while attempts are left, after delays[i] (null: after their backoff), unless retryable[i] is false. Returns where the jobs are now; one that is missing is somebody else''s by now.';
