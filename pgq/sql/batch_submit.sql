-- batch_submit(spec): adds a batch in the caller's transaction: a set of jobs, with jobs that are to run when all of these have ended, when
-- all have succeeded, or as soon as one has failed. Its id, and whether it was created: one with the same name and key is returned as it is.
--
--   select batch_id from pgq.batch_submit('{"name": "import", "jobs": [{"kind": "load", "args": {"file": 1}}, {"kind": "load"}],
--                                           "on_success": {"kind": "report"}}');
--
-- A batch is a DAG (see batch_dag): its id is that of the DAG, and whatever takes a DAG takes a batch. With "open": true more jobs can be
-- added (batch_add) until it is closed (batch_close), and it does not end before that, be it empty or all of its jobs done. The fields are listed in
-- docs/batches.md. Raises PQ001 with the first field that breaks a rule ("jobs[3].kind", "on_done.queue"), 42501 for
-- producers that go beyond their rights; nothing is written then. Locks: those of dag_submit.
-- roles: producer
create function batch_submit(spec jsonb, out batch_id bigint, out created boolean)
language plpgsql security definer set search_path from current
set jit = off
as $$
#variable_conflict use_variable
declare
    field text;
    detail text;
begin
    if not is_owner(caller()) then
        perform check_producer(coalesce(spec ->> 'queue', 'default') || queues_named(
            jsonb_path_query_array(spec, '$.jobs[*]') || jsonb_path_query_array(spec, '$.on_done') || jsonb_path_query_array(spec, '$.on_success')
            || jsonb_path_query_array(spec, '$.on_failure'), coalesce(spec ->> 'queue', 'default')));
    end if;
    perform check_batch_spec(spec);
    begin
        select s.dag_id, s.created into batch_id, created from dag_submit(batch_dag(spec)) s;
    exception when sqlstate 'PQ001' then
        get stacked diagnostics field = column_name, detail = pg_exception_detail;
        perform batch_refuse(field, detail, 0);
    end;
    if created and not coalesce((spec ->> 'open')::boolean, false) then
        perform dag_complete(batch_id, 'jobs/close');
    end if;
end
$$;
comment on function batch_submit is 'Adds a batch in the caller''s transaction.';
