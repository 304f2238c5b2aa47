-- dag_upstream(job_id): the direct parents of a node, by name, with how they ended and their results. Of the first nodes in a
-- sub-DAG these are the parents of the sub-DAG. Parents outside of the DAG have the name of their kind. No rows: it has none.
-- For many parents (items of a map) see dag_items. Locks nothing.
-- roles: worker, operator, payloads
create function dag_upstream(job_id bigint)
returns table (parent_id bigint, name text, role text, state text, output jsonb, codec text, payload bytea, error text, cause_id bigint)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    return query
        with recursive parents as (
            select e.parent_id from edges e where e.child_id = dag_upstream.job_id
            union
            select e.parent_id
            from parents p
            join jobs g on g.id = p.parent_id and g.role = 'gate'
            join edges e on e.child_id = g.id
        )
        select j.id, coalesce(j.name, j.kind), j.role, s.state, f.output, f.codec, f.payload, f.error, f.cause_id
        from parents p
        cross join lateral (select * from jobs where jobs.id = p.parent_id offset 0) j
        cross join lateral (select state from job_states where job_states.id = j.id offset 0) s
        left join lateral (select * from results r where r.job_id = j.id offset 0) f on true
        where j.role is distinct from 'gate'
        order by j.id;
end
$$;
comment on function dag_upstream is 'Direct parents of a node with their results.';
