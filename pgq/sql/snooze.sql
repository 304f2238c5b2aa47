-- snooze(worker_id, job_ids, attempts, delays): puts jobs that the worker holds off until later. The attempt
-- does not count. Raises PQ001 for a delay that is missing, negative or longer than 100 years,
-- and for arrays that are not of one length. Returns as fail does.
-- roles: worker
create function snooze(worker_id bigint, job_ids bigint[], attempts integer[], delays interval[])
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    perform check_parallel('{job_ids,attempts,delays}', array[array_dims(job_ids), array_dims(attempts), array_dims(delays)]);
    if exists (select from unnest(job_ids, delays) u(id, delay) where delay is null or delay not between interval '0' and interval '100 years') then
        perform invalid('delay', 'must be 0 to 100 years');
    end if;
    return query
        select * from end_attempts(snooze.worker_id, job_ids, attempts,
            array_fill('snooze'::text, array[coalesce(cardinality(job_ids), 0)]), delays, null, null);
end
$$;
comment on function snooze is 'Puts jobs that a worker holds off until later; the attempt does not count. Returns as fail does.';
