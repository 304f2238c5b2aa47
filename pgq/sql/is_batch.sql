-- is_batch(job_id): whether a job is a DAG that batch_submit has made. Internal.
create function is_batch(job_id bigint) returns boolean
language sql stable
as $$
    select exists (
        select from jobs j where j.dag_id = is_batch.job_id and j.name = 'jobs/close' and j.role = 'external' offset 0)
$$;
comment on function is_batch is 'Whether a job is a batch.';
