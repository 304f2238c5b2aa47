-- check_submitter(dag_id): raises 42501 when a DAG that was just added has jobs, maps whose items would be, or callbacks, in queues into
-- which the caller may not enqueue, or comes after jobs that the caller did not enqueue: conditions would tell what came of
-- them. Internal: dag_submit, for producers that are not owners.
create function check_submitter(dag_id bigint) returns void
language plpgsql stable
as $$
#variable_conflict use_column
declare
    own constant integer[] := own_producers();
    foreign_id bigint;
begin
    perform check_producer(array(
        select j.queue from jobs j where j.id = check_submitter.dag_id
        union select j.queue from jobs j where j.dag_id = check_submitter.dag_id
        union select j.spec -> 'item' ->> 'queue' from jobs j where j.dag_id = check_submitter.dag_id and j.role = 'map'
        union select coalesce(c.value ->> 'queue', 'default')
              from jobs j, jsonb_each(coalesce(j.spec -> 'callbacks', nullif(j.spec -> 'item' -> 'callbacks', 'null'))) c
              where j.dag_id = check_submitter.dag_id and c.value <> 'null'));
    select e.parent_id into foreign_id
    from jobs j
    join edges e on e.child_id = j.id
    cross join lateral (select p.dag_id, p.enqueued_by from jobs p where p.id = e.parent_id offset 0) p
    where j.dag_id = check_submitter.dag_id
      and p.dag_id is distinct from check_submitter.dag_id
      and not coalesce(p.enqueued_by = any(own), false)
    limit 1;
    if found then
        raise exception using
            errcode = '42501',
            message = format('permission denied to come after job %s', foreign_id),
            detail = 'A node may come after jobs that were enqueued by the same role.';
    end if;
end
$$;
comment on function check_submitter is 'Refuses DAGs in which a producer goes beyond its rights.';
