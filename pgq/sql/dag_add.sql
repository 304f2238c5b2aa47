-- dag_add(dag_id, nodes): adds the nodes of a JSON array to a DAG, with their edges, and puts all of them into waiting.
-- The array has no problems (dag_problems). Returns the ids of the nodes in their order, then those of hidden gates.
-- Internal: dag_submit and dag_extend. The parents outside of the array are kept where they are (pin) and counted.
create function dag_add(dag_id bigint, nodes jsonb) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    outer_ids bigint[];
    missing bigint[];
    ids bigint[];
begin
    outer_ids := array(select distinct (id #>> '{}')::bigint from jsonb_path_query(nodes, '$[*].after[*].job') id);
    if exists (select from jobs j where j.dag_id = dag_add.dag_id) then
        outer_ids := outer_ids || array(
            select distinct j.id
            from jsonb_array_elements(nodes) n,
                 jsonb_array_elements(coalesce(n -> 'after', '[]') || jsonb_build_array(n -> 'over')) a
            cross join lateral (
                select id from jobs
                where dag_id = dag_add.dag_id and name = coalesce(a ->> 'node', a #>> '{}') offset 0) j
            union
            select g.id
            from (select distinct scope_of(n ->> 'name') as scope from jsonb_array_elements(nodes) n) s
            cross join lateral (
                select id from jobs where dag_id = dag_add.dag_id and name = s.scope || '/(start)' offset 0) g);
    end if;
    perform lock_dags(outer_ids);
    missing := array(select pin(outer_ids));
    if missing <> '{}' then
        perform invalid('after', format('must name existing jobs; job %s does not exist', missing[1]));
    end if;
    ids := dag_insert(dag_id, nodes);
    if outer_ids <> '{}' then
        perform recount(array(
            select distinct e.child_id from edges e where e.parent_id = any(outer_ids) and e.child_id = any(ids)));
    end if;
    return ids;
end
$$;
comment on function dag_add is 'Adds nodes to a DAG.';
