-- report_progress(worker_id, job_id, attempt, done, total): says how far a running job is (0 total: unknown). Raises PQ001 for what is null or negative.
-- False, and nothing is written, when the lease is lost. Locks: the row of running against its end.
-- roles: worker
create function report_progress(worker_id bigint, job_id bigint, attempt integer, done bigint, total bigint)
returns boolean
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_variable
begin
    if done is null or total is null then
        perform invalid('progress', 'must not be null');
    elsif done < 0 or total < 0 then
        perform invalid('progress', 'must not be negative');
    end if;
    insert into progress as p (job_id, attempt, done, total)
    select r.job_id, r.attempt, report_progress.done, report_progress.total
    from running r
    where r.job_id = report_progress.job_id and r.attempt = report_progress.attempt
      and r.worker_id = report_progress.worker_id
    for key share
    on conflict on constraint progress_pkey do update
    set attempt = excluded.attempt, done = excluded.done, total = excluded.total, updated_at = now();
    return found;
end
$$;
comment on function report_progress is 'Says how far a running job is.';
