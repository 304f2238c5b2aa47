-- disown(worker_id, held): gives back all jobs leased to a worker but those that it says it holds: leases from
-- claims whose answer was lost on the way. The attempts do not count. Returns as fail does.
-- The worker must not claim meanwhile.
-- roles: worker
create function disown(worker_id bigint, held bigint[]) returns table (job_id bigint, outcome text)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
declare
    strays record;
begin
    select array_agg(r.job_id) as ids, array_agg(r.attempt) as attempts into strays
    from (select s.job_id, s.attempt from running s
          where s.worker_id = disown.worker_id and not s.job_id = any(held) order by s.job_id) r;
    if strays.ids is not null then
        return query
            select * from end_attempts(disown.worker_id, strays.ids, strays.attempts,
                array_fill('release'::text, array[cardinality(strays.ids)]), null, null, null);
    end if;
end
$$;
comment on function disown is 'Gives back jobs that a worker holds without knowing.';
