-- snooze(worker_id, job_ids, attempts, delays): puts jobs that the worker holds off until later. The attempt
-- does not count. Raises PQ001 for a delay that is missing or negative. Returns as fail does.
-- roles: worker
create function snooze(worker_id bigint, job_ids bigint[], attempts integer[], delays interval[])
returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
begin
    if exists (select from unnest(job_ids, delays) u(id, delay) where delay is null or delay < interval '0') then
        perform invalid('delay', 'must not be negative');
    end if;
    return query
        select * from end_attempts(snooze.worker_id, job_ids, attempts,
            array_fill('snooze'::text, array[cardinality(job_ids)]), delays, null, null);
end
$$;
comment on function snooze is 'Puts jobs that a worker holds off until later; the attempt does not count. Returns as fail does.';
