-- give_up(worker_id, job_ids, attempts, reasons): ends attempts as cancelled: the handler saw that the job
-- need not be done, or obeyed a cancellation. Raises PQ001 for arrays that are not of one length. Returns as fail does.
-- roles: worker
create function give_up(worker_id bigint, job_ids bigint[], attempts integer[], reasons text[] default null)
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform check_parallel('{job_ids,attempts,reasons}', array[array_dims(job_ids), array_dims(attempts), array_dims(reasons)]);
    return query
        select * from end_attempts(give_up.worker_id, job_ids, attempts,
            array_fill('cancel'::text, array[coalesce(cardinality(job_ids), 0)]), null, reasons, null);
end
$$;
comment on function give_up is 'Ends attempts as cancelled.';
