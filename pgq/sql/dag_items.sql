-- dag_items(map_id, after, at_most): the items of a map in their order, with how they ended and their results: those with an
-- item_id above after. No rows: there are none (yet). Locks nothing.
-- roles: worker, operator, payloads
create function dag_items(map_id bigint, after bigint default 0, at_most integer default 1000)
returns table (item_id bigint, index integer, name text, state text, output jsonb, codec text, payload bytea, error text)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    return query
        select j.id, substring(j.name from '\[(\d+)\]$')::integer, j.name, s.state, f.output, f.codec, f.payload, f.error
        from jobs m
        cross join lateral (
            select x.* from edges e
            cross join lateral (
                select id, name from jobs
                where jobs.id = e.parent_id and name >= m.name || '[' and name < m.name || '\' offset 0) x
            where e.child_id = m.id and e.parent_id > after
            order by e.parent_id
            limit within('at_most', at_most, 0, 1000000)) j
        cross join lateral (select state from job_states where job_states.id = j.id offset 0) s
        left join lateral (select * from results r where r.job_id = j.id offset 0) f on true
        where m.id = map_id
        order by j.id;
end
$$;
comment on function dag_items is 'Items of a map with their results.';
