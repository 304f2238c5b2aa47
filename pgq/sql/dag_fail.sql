-- dag_fail(dag_id, node, error): answers an external node with a failure: a refusal for example. The first answer counts.
-- Outcome: failed; early (the node is not reached yet: the answer is kept until then); finished (too late).
-- Raises PQ004 for an unknown DAG or node, PQ001 for one that is not external. Locks: its row of waiting.
-- roles: operator
create function dag_fail(dag_id bigint, node text, error text default 'refused') returns text
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    return dag_answer(dag_id, node, null, coalesce(error, 'refused'));
end
$$;
comment on function dag_fail is 'Answers an external node with a failure.';
