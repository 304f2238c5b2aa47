-- dag_slowest(dag_id, at_most): the nodes of a DAG whose last attempts took longest, slowest first; those that are running
-- count with the time until now. Zero rows: nothing has been started. Raises PQ001 for at_most, PQ004 when there is no
-- such DAG. Reads all nodes of the DAG; locks nothing.
-- roles: operator, reader
create function dag_slowest(dag_id bigint, at_most integer default 10)
returns table (name text, job_id bigint, kind text, state text, attempt integer, worker_id bigint, ran interval)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    root constant jobs := dag_graph_root(dag_slowest.dag_id);
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query
        select j.name, j.id, j.kind, f.state, f.attempt, f.worker_id, f.ran
        from (select id, name, kind from jobs where dag_id = root.id offset 0) j
        cross join lateral (
            select state, attempt, worker_id, finished_at - claimed_at as ran
            from results
            where job_id = j.id and claimed_at is not null
            union all
            select 'running', attempt, worker_id, greatest(statement_timestamp(), claimed_at) - claimed_at
            from running
            where job_id = j.id) f
        order by f.ran desc, j.id
        limit at_most;
end
$$;
comment on function dag_slowest is 'The slowest nodes of a DAG.';
