-- release(worker_id, job_ids, attempts): gives jobs back that the worker holds and did not start or could not
-- finish through no fault of theirs. The attempt does not count. Raises PQ001 for arrays that are not of one length. Returns as fail does.
-- roles: worker
create function release(worker_id bigint, job_ids bigint[], attempts integer[])
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform check_parallel('{job_ids,attempts}', array[array_dims(job_ids), array_dims(attempts)]);
    return query
        select * from end_attempts(release.worker_id, job_ids, attempts,
            array_fill('release'::text, array[coalesce(cardinality(job_ids), 0)]), null, null, null);
end
$$;
comment on function release is 'Gives jobs back that a worker holds; the attempt does not count. Returns as fail does.';
