-- dag_problems_label(entry): an entry of "after" as problems quote it: "a", job 123, or what it is. Internal, inlined.
create function dag_problems_label(entry jsonb) returns text
language sql stable
as $$
    select coalesce(to_json(left(dag_problems_node_of(entry), 200))::text, 'job ' || dag_problems_job_of(entry), left(entry::text, 100))
$$;
comment on function dag_problems_label is 'An entry of "after" as problems quote it.';
