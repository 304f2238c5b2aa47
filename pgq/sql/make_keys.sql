-- make_keys(uniques, kinds, queues, args): the keys of jobs that are to be unique as uniques say (see unique_problem), null for nulls, and
-- until when they bar others at least. Raises PQ001 for one that breaks a rule, with its place in the arrays.
-- Internal: the Go client's EnqueueMany, for jobs of which the key is not given as such.
-- roles: owner
create function make_keys(uniques jsonb[], kinds text[], queues text[], args jsonb[], out keys text[], out holds timestamptz[])
language plpgsql stable set search_path from current
as $$
#variable_conflict use_column
declare
    bad record;
begin
    with sorts as materialized (
        select min(u.place) - 1 as index,
               case when jsonb_typeof(u.spec -> 'key') = 'string' and length(u.spec ->> 'key') between 1 and 450
                    then jsonb_set(u.spec, '{key}', '"k"') else u.spec end as spec
        from unnest(uniques) with ordinality u(spec, place)
        where u.spec is not null
        group by 2
    )
    select s.index, p.problem into bad
    from sorts s
    cross join lateral (select unique_problem(s.spec) as problem offset 0) p
    where p.problem is not null
    order by s.index limit 1;
    if found then
        perform invalid(format('jobs[%s].%s', bad.index, bad.problem[1]), bad.problem[2]);
    end if;
    select array_agg(case when u.spec is not null then unique_key(u.spec, u.kind, u.queue, u.args) end order by u.place),
           array_agg(unique_until(u.spec) order by u.place)
    into keys, holds
    from unnest(uniques, kinds, queues, make_keys.args) with ordinality u(spec, kind, queue, args, place);
end
$$;
comment on function make_keys is 'The keys of jobs that are to be unique.';
