-- dag_complete(dag_id, node, output): answers an external node, or wakes a sleeping one. The first answer counts.
-- Outcome: completed; early (the node is not reached yet: the answer is kept until then); finished (too late).
-- Raises PQ004 for an unknown DAG or node, PQ001 for one that is not external. Locks: its row of waiting.
-- roles: operator
create function dag_complete(dag_id bigint, node text, output jsonb default null) returns text
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    return dag_answer(dag_id, node, output, null);
end
$$;
comment on function dag_complete is 'Answers an external node.';
