-- check_batch_jobs(jobs): raises PQ001 unless this is a JSON array of at most 900,000 jobs, or batches by their ids, with no fields that those of a batch
-- do not have. What the fields hold is checked with the DAG. Internal: batch_submit and batch_add.
create function check_batch_jobs(jobs jsonb) returns void
language plpgsql stable
as $$
declare
    known constant text[] := '{kind,args,queue,group,priority,delay,max_attempts,timeout,backoff,tags,metadata,ttl,codec,payload,callbacks}';
    odd record;
begin
    if jsonb_typeof(jobs) is distinct from 'array' then
        perform invalid('jobs', 'must be a JSON array');
    elsif jsonb_array_length(jobs) > 900000 then
        perform invalid('jobs', 'must be at most 900000');
    end if;
    select e.ordinality - 1 as index, e.value as job into odd
    from jsonb_array_elements(jobs) with ordinality e
    where case when jsonb_typeof(e.value) <> 'object' then true
               when e.value - known = '{}' then false
               else e.value - 'batch' <> '{}' or not coalesce(is_batch(dag_problems_job_of(jsonb_build_object('job', e.value -> 'batch'))), false) end
    order by 1 limit 1;
    if not found then
        return;
    elsif jsonb_typeof(odd.job) <> 'object' then
        perform invalid(format('jobs[%s]', odd.index), 'must be a JSON object');
    elsif odd.job - 'batch' = '{}' then
        perform invalid(format('jobs[%s].batch', odd.index), format('must be the id of a batch; %s is none', left(odd.job ->> 'batch', 100)));
    elsif odd.job ? 'batch' then
        perform invalid(format('jobs[%s].batch', odd.index), 'must not be given together with other fields');
    end if;
    perform invalid(format('jobs[%s].%s', odd.index, left((select min(key) from jsonb_object_keys(odd.job - known) key), 128)),
                    'is not a field of a job of a batch');
end
$$;
comment on function check_batch_jobs is 'Refuses what are no jobs of a batch.';
