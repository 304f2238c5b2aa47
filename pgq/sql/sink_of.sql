-- sink_of(job_id): the job that ends when all of the sub-DAG or DAG has ended in which a node is. Internal.
create function sink_of(job_id bigint) returns bigint
language sql stable
as $$
    select coalesce((select s.id from jobs s where s.dag_id = j.dag_id and s.name = scope_of(j.name)), j.dag_id)
    from jobs j
    where j.id = sink_of.job_id
$$;
comment on function sink_of is 'The job of the sub-DAG or DAG in which a node is.';
