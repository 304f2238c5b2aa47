-- dag_result(job_id, node): the result of another node of the DAG to which a job belongs, or the state it is in. The name is
-- looked for in the job's own sub-DAG first, then in those around it. job_id may be the DAG's own job.
-- No row: there is no such node. Locks nothing.
-- roles: worker, operator, payloads
create function dag_result(job_id bigint, node text)
returns table (parent_id bigint, name text, role text, state text, output jsonb, codec text, payload bytea, error text, cause_id bigint)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    asking record;
    scope text;
    target bigint;
begin
    select j.id, coalesce(j.dag_id, j.id) as dag_id, j.name into asking from jobs j where j.id = dag_result.job_id;
    scope := coalesce(scope_of(asking.name), '');
    loop
        select j.id into target from jobs j
        where j.dag_id = asking.dag_id and j.name = case when scope = '' then dag_result.node else scope || '/' || dag_result.node end;
        exit when found or scope = '';
        scope := scope_of(scope);
    end loop;
    return query
        select j.id, j.name, j.role, s.state, f.output, f.codec, f.payload, f.error, f.cause_id
        from jobs j
        join job_states s on s.id = j.id
        left join results f on f.job_id = j.id
        where j.id = target;
end
$$;
comment on function dag_result is 'The result of a node.';
