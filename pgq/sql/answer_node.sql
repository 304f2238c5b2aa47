-- answer_node(job_id, output, error): ends an external or sleeping node with its answer, or with an error. Internal.
-- Outcome: completed, failed, early (it is not reached yet: the answer is kept until then), finished (nothing was done).
-- Locks: its row of waiting.
create function answer_node(job_id bigint, output jsonb, error text) returns text
language plpgsql
as $$
#variable_conflict use_column
declare
    node record;
    outcome constant text := case when answer_node.error is null then 'completed' else 'failed' end;
begin
    select w.job_id, w.role, w.queue into node from waiting w where w.job_id = answer_node.job_id for update;
    if not found then
        return 'finished';
    elsif node.role <> 'signal' then
        insert into signals (job_id, output, error) values (answer_node.job_id, answer_node.output, answer_node.error)
        on conflict do nothing;
        return case when found then 'early' else 'finished' end;
    end if;
    delete from waiting w where w.job_id = answer_node.job_id;
    insert into results (job_id, queue, state, attempt, expires_at, output, error, dag_id)
    select j.id, j.queue, outcome, 0, now() + j.result_ttl, answer_node.output, answer_node.error, j.dag_id
    from jobs j where j.id = answer_node.job_id;
    perform record_event(outcome, answer_node.job_id, node.queue, 0, null,
                         jsonb_strip_nulls(jsonb_build_object('error', answer_node.error)));
    perform doom_dags(array[answer_node.job_id]);
    perform propagate(array[answer_node.job_id]);
    return outcome;
end
$$;
comment on function answer_node is 'Ends an external or sleeping node.';
