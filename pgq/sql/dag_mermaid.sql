-- dag_mermaid(dag_id, theme, colored, direction, max_nodes): a DAG as a Mermaid flowchart. Themes: see dag_theme;
-- colored: with the states of the nodes and how many items of maps are done, else just the graph; direction: TD (or TB),
-- BT, LR, RL; what is shown: see dag_graph_json. Raises PQ001 for the options and PQ004 when there is no such DAG.
-- Boxes are jobs, hexagons answers from outside, stadiums sleeps, boxes with double sides maps, dashed arrows soft edges.
-- Mermaid itself refuses more than 500 edges or 50,000 characters unless its maxEdges and maxTextSize are raised.
-- roles: operator, reader
create function dag_mermaid(
    dag_id bigint, theme text default 'default', colored boolean default true, direction text default 'TD',
    max_nodes integer default 500)
returns text
language plpgsql stable security definer set search_path from current
as $$
declare
    graph jsonb;
    lines text[];
    depth integer := 0;
    label record;
    title text;
    class text;
    n jsonb;
begin
    perform dag_theme(dag_mermaid.theme);
    perform dag_style(direction, max_nodes);
    graph := dag_graph_json(dag_mermaid.dag_id, max_nodes);
    colored := coalesce(colored, true);
    lines := array['flowchart ' || direction];
    for n in select e from jsonb_array_elements(graph -> 'nodes') e loop
        while depth > (n ->> 'depth')::integer loop
            lines := lines || (repeat('    ', depth) || 'end');
            depth := depth - 1;
        end loop;
        select * into label from dag_graph_label(n, colored);
        title := '"' || concat(dag_graph_mermaid_text(label.name), label.items, '<br/>' || label.rule) || '"';
        class := case when colored then ':::' || (n ->> 'state') else '' end;
        if n ->> 'role' = 'dag' then
            lines := lines || (repeat('    ', depth + 1) || 'subgraph ' || (n ->> 'id') || '[' || title || ']');
            depth := depth + 1;
            if (n ->> 'empty')::boolean then
                lines := lines || (repeat('    ', depth + 1) || (n ->> 'id') || 'x["..."]');
            end if;
        else
            lines := lines || (repeat('    ', depth + 1) || (n ->> 'id') || case n ->> 'role'
                when 'external' then '{{' || title || '}}'
                when 'map' then '[[' || title || ']]'
                when 'sleep' then '([' || title || '])'
                else '[' || title || ']' end || class);
        end if;
    end loop;
    while depth > 0 loop
        lines := lines || (repeat('    ', depth) || 'end');
        depth := depth - 1;
    end loop;
    if (graph ->> 'more')::bigint > 0 then
        lines := lines || format('    more["... and %s more"]', graph ->> 'more');
    end if;
    lines := lines || array(
        select format('    %s %s%s %s', e ->> 'from', case when (e ->> 'soft')::boolean then '-.->' else '-->' end,
                      '|"' || dag_graph_mermaid_text(e ->> 'condition') || '"|', e ->> 'to')
        from jsonb_array_elements(graph -> 'edges') with ordinality x(e, place)
        order by place);
    if colored then
        lines := lines || array(
            select format('    classDef %s fill:%s,stroke:%s,color:%s', t.state, t.fill, t.stroke, t.color)
            from dag_theme(dag_mermaid.theme) t
            where t.state in (select e ->> 'state' from jsonb_array_elements(graph -> 'nodes') e where e ->> 'role' is distinct from 'dag'));
        lines := lines || array(
            select format('    style %s fill:none,stroke:%s,stroke-width:2px', e ->> 'id', t.stroke)
            from jsonb_array_elements(graph -> 'nodes') with ordinality x(e, place)
            join dag_theme(dag_mermaid.theme) t on t.state = e ->> 'state'
            where e ->> 'role' = 'dag'
            order by place);
    end if;
    return array_to_string(lines, e'\n') || e'\n';
end
$$;
comment on function dag_mermaid is 'A DAG as a Mermaid flowchart.';
