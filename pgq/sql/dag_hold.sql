-- dag_hold(dag_id, reason): lets no node of a DAG start from now on; nodes that run go on, with their retries. Nodes that wait
-- for a worker or a time wait for dag_resume. Returns how many nodes are held. Zero: it has ended, or is held already.
-- Raises PQ004 for an unknown DAG.
-- Locks: the DAG, and those that it comes after, since nodes that go back to waiting have their parents there pinned; rows of
-- waiting by job, then what withdraw locks.
-- roles: operator
create function dag_hold(dag_id bigint, reason text default null) returns bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    members bigint[];
    held bigint;
    gone record;
begin
    perform lock_dags(array[dag_hold.dag_id] || array(
        select distinct e.parent_id
        from jobs m
        cross join lateral (select parent_id from edges where child_id = m.id offset 0) e
        cross join lateral (select dag_id, role from jobs where jobs.id = e.parent_id offset 0) p
        where m.dag_id = dag_hold.dag_id and coalesce(p.dag_id, -1) <> dag_hold.dag_id));
    perform lock_dag(dag_id);
    members := array(select m.id from jobs m where m.dag_id = dag_hold.dag_id order by m.id);
    perform w.job_id from waiting w where w.job_id = any(members) or w.job_id = dag_hold.dag_id order by w.job_id for no key update;
    update waiting w set held = true
    where (w.job_id = any(members) or w.job_id = dag_hold.dag_id) and not w.held;
    get diagnostics held = row_count;
    if held = 0 then
        return 0;
    end if;
    -- Items of a map are added only by who holds its row.
    members := array(select m.id from jobs m where m.dag_id = dag_hold.dag_id order by m.id);
    for round in 1 .. 100 loop
        select array_agg(w.job_id) as ids, array_agg(w.attempt) as attempts into gone from withdraw(members) w;
        if gone.ids is not null then
            perform pin(array(select distinct e.parent_id from edges e where e.child_id = any(gone.ids)));
            perform rewait(gone.ids, gone.attempts);
            held := held + cardinality(gone.ids);
        end if;
        exit when not exists (
            select from job_states s where s.dag_id = dag_hold.dag_id and s.state in ('ready', 'scheduled'));
    end loop;
    perform record_event('held', j.id, j.queue, 0, null, operator_data(dag_hold.reason, null))
    from jobs j where j.id = dag_hold.dag_id;
    return held - 1;
end
$$;
comment on function dag_hold is 'Lets no node of a DAG start.';
