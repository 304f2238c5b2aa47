-- virtual_output(job_id, role, ok, failed): the result of a job that no handler runs and that has just completed: of a
-- map how many items it had, of a DAG that of its output node. Internal.
create function virtual_output(job_id bigint, role text, ok integer, failed integer) returns jsonb
language plpgsql stable
as $$
begin
    if role = 'items' then
        return jsonb_build_object('items', ok + failed, 'failed', failed);
    elsif role = 'dag' then
        return (
            select f.output
            from jobs d
            join jobs j on j.dag_id = coalesce(d.dag_id, d.id)
                       and j.name = case when d.dag_id is null then '' else d.name || '/' end || (d.spec ->> 'output')
            join results f on f.job_id = j.id
            where d.id = virtual_output.job_id);
    end if;
    return null;
end
$$;
comment on function virtual_output is 'The result of a job that no handler runs.';
