-- dag_submit(spec): adds a DAG in the caller's transaction: its nodes, the edges between them, and the job
-- that stands for the DAG. Its id, and whether it was created: a DAG with the same name and key is returned as it is.
--
--   select dag_id from pgq.dag_submit('{"name": "etl", "nodes": [
--       {"name": "extract", "kind": "extract"},
--       {"name": "load", "kind": "load", "args": {"table": "t"}, "after": ["extract"]}]}');
--
-- The document's fields are listed in docs/dags.md. Raises PQ001 with all that is wrong with it (dag_problems); nothing is
-- written then. 42501 for producers that go beyond their rights, which comes first, and where the key is that of a DAG in a queue that was not granted. With a key it waits for a transaction under way that submits the same.
-- Locks: places of jobs outside of the DAG that nodes depend on (pin).
-- roles: producer
create function dag_submit(spec jsonb, out dag_id bigint, out created boolean)
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_variable
declare
    kind constant text := spec ->> 'name';
    key constant text := spec ->> 'key';
    deadline interval;
    added bigint[];
    producer constant integer := case when not is_owner(caller()) then check_producer(
        coalesce(spec ->> 'queue', 'default') || queues_named(spec -> 'nodes', coalesce(spec ->> 'queue', 'default'))) end;
begin
    created := false;
    select k.dag_id into dag_id from dag_keys k where k.kind = kind and k.key = key;
    if found then
        perform check_holders(array[dag_id]);
        return;
    end if;
    perform dag_refuse(spec);
    dag_id := nextval('jobs_id_seq');
    if key is not null then
        insert into dag_keys (kind, key, dag_id) values (kind, key, dag_id) on conflict do nothing;
        if not found then
            select k.dag_id into dag_id from dag_keys k where k.kind = kind and k.key = key;
            perform check_holders(array[dag_id]);
            return;
        end if;
    end if;
    created := true;
    deadline := (spec ->> 'deadline')::interval;
    insert into jobs (id, queue, kind, priority, result_ttl, expires_at, tags, metadata, role, spec, enqueued_by)
    select dag_id, coalesce(d.queue, 'default'), kind, coalesce(d.priority, 5), d.result_ttl, now() + deadline,
           d.tags, nullif(d.metadata, 'null'), 'dag',
           jsonb_strip_nulls(jsonb_build_object('key', key, 'on_failure', spec -> 'on_failure', 'output', spec -> 'output')), producer
    from jsonb_to_record(spec) d(queue text, priority smallint, result_ttl interval, tags text[], metadata jsonb);
    if deadline is not null then
        insert into expiries (expires_at, job_id) values (now() + deadline, dag_id);
    end if;
    added := dag_add(dag_id, spec -> 'nodes');
    if producer is not null then
        perform check_submitter(dag_id);
    end if;
    insert into waiting (job_id, queue, role, pending, need_ok, need_failed, max_failed, max_skipped)
    select dag_id, coalesce(spec ->> 'queue', 'default'), 'dag',
           (select count(*) from edges e where e.child_id = dag_id), 0, 0, 2147483647, 2147483647;
    perform record_event('submitted', dag_id, coalesce(spec ->> 'queue', 'default'), 0, null,
                         jsonb_build_object('nodes', cardinality(added)));
    perform judge(array(select w.job_id from waiting w where w.job_id = any(added) and (w.pending = 0 or w.eager)));
end
$$;
comment on function dag_submit is 'Adds a DAG in the caller''s transaction.';
