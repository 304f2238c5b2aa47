-- dag_refuse(spec, dag_id): raises PQ001 when something is wrong with a DAG document (dag_problems). The message spells out
-- five problems; DETAIL is a JSON array with the first hundred, {"node", "field", "rule"}; COLUMN is dag. Internal.
create function dag_refuse(spec jsonb, dag_id bigint default null) returns void
language plpgsql stable
as $$
declare
    refused record;
begin
    with problems as (
        select p.node, p.field, p.rule, row_number() over () as place from dag_problems(spec, dag_id) p
    )
    select count(*) as total,
           string_agg(concat_ws(' ', 'node ' || to_json(node)::text || ':', field, rule), '; ' order by place)
               filter (where place <= 5) as message,
           json_agg(json_build_object('node', node, 'field', field, 'rule', rule) order by place)
               filter (where place <= 100) as detail
    into refused
    from problems;
    if refused.total > 0 then
        raise exception using
            errcode = 'PQ001',
            message = 'dag: ' || refused.message || case when refused.total > 5 then format(' (and %s more)', refused.total - 5) else '' end,
            column = 'dag',
            detail = refused.detail::text;
    end if;
end
$$;
comment on function dag_refuse is 'Refuses a DAG document that has problems.';
