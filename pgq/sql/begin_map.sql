-- begin_map(job_id): the source of a map is there: the map now waits for one job per item. True if it is finished at
-- once: because there are no items, or because what it was to map over is no result in JSON.
-- Internal: decide, which holds its row of waiting.
create function begin_map(job_id bigint) returns boolean
language plpgsql
as $$
#variable_conflict use_column
declare
    node record;
    source record;
    total integer;
    problem text;
begin
    select id, queue, name, spec, dag_id, result_ttl into node from jobs where id = begin_map.job_id;
    select j.id, f.output into source
    from jobs j left join results f on f.job_id = j.id
    where j.dag_id = node.dag_id and j.name = node.spec ->> 'over';
    begin
        total := jsonb_array_length(jsonb_path_query_array(source.output, (node.spec ->> 'path')::jsonpath));
    exception when others then
        problem := format('items of %s: %s', node.spec ->> 'over', sqlerrm);
    end;
    if total is null then
        problem := coalesce(problem, format('%s has no result in JSON', node.spec ->> 'over'));
    end if;
    if problem is not null or total = 0 then
        delete from waiting w where w.job_id = begin_map.job_id;
        insert into results (job_id, queue, state, attempt, expires_at, output, error, dag_id)
        values (node.id, node.queue, case when problem is null then 'completed' else 'failed' end, 0, now() + node.result_ttl,
                case when problem is null then '{"items": 0, "failed": 0}'::jsonb end, problem, node.dag_id);
        return true;
    end if;
    insert into maps (job_id, source_id, total) values (node.id, source.id, total);
    update waiting w
    set role = 'items', pending = total, ok = 0, failed = 0, skipped = 0, cause_id = null,
        need_ok = 0, need_failed = 0, max_skipped = 2147483647, eager = false,
        max_failed = floor(total * coalesce((node.spec ->> 'tolerate')::numeric, 0) / 100)
    where w.job_id = begin_map.job_id;
    perform expand_map(node.id);
    return false;
end
$$;
comment on function begin_map is 'Lets a map wait for a job per item of its source.';
