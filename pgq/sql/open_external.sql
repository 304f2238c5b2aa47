-- open_external(job_id): a node that no handler runs has been reached: an external node waits for its answer, for as long as
-- its timeout says, a sleeping one for its time. True if it is finished at once, because the answer came before.
-- Internal: decide, which holds its row of waiting.
create function open_external(job_id bigint) returns boolean
language plpgsql
as $$
#variable_conflict use_column
declare
    node record;
    answer record;
begin
    select id, queue, role, spec, dag_id, result_ttl into node from jobs where id = open_external.job_id;
    if node.role = 'sleep' and (node.spec ->> 'delay')::interval <= interval '0' then
        insert into signals (job_id) values (node.id) on conflict do nothing;
    end if;
    delete from signals s where s.job_id = open_external.job_id returning * into answer;
    if found then
        delete from waiting w where w.job_id = open_external.job_id;
        insert into results (job_id, queue, state, attempt, expires_at, output, error, dag_id)
        values (node.id, node.queue, case when answer.error is null then 'completed' else 'failed' end, 0,
                now() + node.result_ttl, answer.output, answer.error, node.dag_id);
        return true;
    end if;
    update waiting w
    set role = 'signal', pending = 1, ok = 0, failed = 0, skipped = 0, cause_id = null,
        need_ok = 0, need_failed = 0, max_failed = 0, max_skipped = 0, eager = false
    where w.job_id = open_external.job_id;
    with timed as (
        update jobs
        set expires_at = now() + coalesce((node.spec ->> 'timeout')::interval, (node.spec ->> 'delay')::interval)
        where id = node.id and (node.spec ->> 'timeout' is not null or node.role = 'sleep')
        returning id, expires_at
    )
    insert into expiries (expires_at, job_id) select expires_at, id from timed;
    perform record_event('opened', node.id, node.queue);
    return false;
end
$$;
comment on function open_external is 'Lets an external or sleeping node wait for its answer or time.';
