-- untold_jobs(): jobs and DAGs that must not be deleted yet, because children of theirs, or of their nodes, have not heard how
-- they ended. Mostly none. Internal: delete and prune.
create function untold_jobs() returns bigint[]
language plpgsql stable
as $$
begin
    return array(
        select u.parent_id from frontier u
        union
        select j.dag_id
        from frontier u
        cross join lateral (select dag_id from jobs where jobs.id = u.parent_id offset 0) j
        where j.dag_id is not null);
end
$$;
comment on function untold_jobs is 'Jobs that must not be deleted yet.';
