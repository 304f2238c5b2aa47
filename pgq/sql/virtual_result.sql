-- virtual_result(job_id, role, ok, failed): the result of a job that no handler runs and that has just completed: of a
-- DAG that of its output node, encoded as that one is; of a map how many items there were and how many failed. Only output, codec and payload
-- are set. Internal.
create function virtual_result(job_id bigint, role text, ok integer, failed integer) returns results
language plpgsql stable
as $$
#variable_conflict use_column
declare
    result results;
begin
    if role = 'items' then
        result.output := jsonb_build_object('items', ok + failed, 'failed', failed);
    elsif role = 'dag' then
        select f.output, f.codec, f.payload
        into result.output, result.codec, result.payload
        from jobs d
        join jobs j on j.dag_id = coalesce(d.dag_id, d.id)
                   and j.name = case when d.dag_id is null then '' else d.name || '/' end || (d.spec ->> 'output')
        join results f on f.job_id = j.id
        where d.id = virtual_result.job_id;
    end if;
    return result;
end
$$;
comment on function virtual_result is 'The result of a job that no handler runs.';
