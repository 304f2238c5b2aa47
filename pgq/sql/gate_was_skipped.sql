-- gate_was_skipped(dag_id, name): whether the sub-DAG of this name was skipped before it began. Internal.
create function gate_was_skipped(dag_id bigint, name text) returns boolean
language sql stable
as $$
    select exists (
        select from jobs j
        join results f on f.job_id = j.id
        where j.dag_id = gate_was_skipped.dag_id and j.name = gate_was_skipped.name || '/(start)' and f.state = 'skipped')
$$;
comment on function gate_was_skipped is 'Whether a sub-DAG was skipped before it began.';
