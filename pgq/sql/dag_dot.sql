-- dag_dot(dag_id, theme, colored, direction, max_nodes): a DAG in the DOT language of Graphviz; everything else as
-- dag_mermaid has it. Sub-DAGs are clusters; the theme dark comes with a dark page.
-- roles: operator, reader
create function dag_dot(
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
    look record;
    dark boolean;
    n jsonb;
begin
    perform dag_theme(dag_dot.theme);
    perform dag_style(direction, max_nodes);
    graph := dag_graph_json(dag_dot.dag_id, max_nodes);
    colored := coalesce(colored, true);
    dark := colored and dag_dot.theme = 'dark';
    lines := array[
        'digraph dag {',
        format('    graph [compound=true, rankdir=%s, fontname="Helvetica"%s];', case direction when 'TD' then 'TB' else direction end,
               case when dark then ', bgcolor="#0d1117", fontcolor="#f0f6fc"' end),
        '    node [shape=box, fontname="Helvetica"];',
        format('    edge [fontname="Helvetica", fontsize=10%s];', case when dark then ', color="#8b949e", fontcolor="#8b949e"' end)];
    for n in select e from jsonb_array_elements(graph -> 'nodes') e loop
        while depth > (n ->> 'depth')::integer loop
            lines := lines || (repeat('    ', depth) || '}');
            depth := depth - 1;
        end loop;
        select * into label from dag_graph_label(n, colored);
        title := 'label="' || concat(dag_graph_dot_text(label.name), label.items, '\n' || label.rule) || '"';
        select * into look from dag_theme(dag_dot.theme) t where t.state = n ->> 'state';
        if n ->> 'role' = 'dag' then
            lines := lines || (repeat('    ', depth + 1) || 'subgraph cluster_' || (n ->> 'id') || ' {');
            depth := depth + 1;
            lines := lines || (repeat('    ', depth + 1) || title || ';');
            if colored then
                lines := lines || (repeat('    ', depth + 1) || format('color="%s"; penwidth=2;', look.stroke));
            end if;
            if (n ->> 'empty')::boolean then
                lines := lines || (repeat('    ', depth + 1) || (n ->> 'id') || 'x [label="...", shape=plaintext];');
            end if;
        else
            lines := lines || (repeat('    ', depth + 1) || format('%s [%s%s%s];', n ->> 'id', title,
                case n ->> 'role' when 'external' then ', shape=hexagon' when 'map' then ', peripheries=2' end,
                ', style="' || nullif(concat_ws(',', case when n ->> 'role' = 'sleep' then 'rounded' end, case when colored then 'filled' end), '')
                || '"' || case when colored
                              then format(', fillcolor="%s", color="%s", fontcolor="%s"', look.fill, look.stroke, look.color) else '' end));
        end if;
    end loop;
    while depth > 0 loop
        lines := lines || (repeat('    ', depth) || '}');
        depth := depth - 1;
    end loop;
    if (graph ->> 'more')::bigint > 0 then
        lines := lines || format('    more [label="... and %s more", style=dashed];', graph ->> 'more');
    end if;
    -- An edge from or to a cluster goes from or to a node in it and is clipped at its border.
    lines := lines || array(
        with ends as (
            select e ->> 'id' as id, e ->> 'role' as role, coalesce(e ->> 'first', (e ->> 'id') || 'x') as first,
                   coalesce(e ->> 'last', (e ->> 'id') || 'x') as last
            from jsonb_array_elements(graph -> 'nodes') e
        )
        select '    ' || case when f.role = 'dag' then f.last else f.id end || ' -> ' || case when t.role = 'dag' then t.first else t.id end
               || coalesce(' [' || nullif(concat_ws(', ',
                      case when f.role = 'dag' then 'ltail=cluster_' || f.id end,
                      case when t.role = 'dag' then 'lhead=cluster_' || t.id end,
                      case when (e ->> 'soft')::boolean then 'style=dashed' end,
                      'label="' || dag_graph_dot_text(e ->> 'condition') || '"'), '') || ']', '') || ';'
        from jsonb_array_elements(graph -> 'edges') with ordinality x(e, place)
        join ends f on f.id = e ->> 'from'
        join ends t on t.id = e ->> 'to'
        order by place);
    return array_to_string(lines || '}'::text, e'\n') || e'\n';
end
$$;
comment on function dag_dot is 'A DAG in the DOT language.';
