-- dag_graph_label(node, colored): what the label of a node says: its name, the items of a map that are done (" (12/100)"),
-- and the rule unless it is all; null for what it does not say. Internal: dag_mermaid and dag_dot.
create function dag_graph_label(node jsonb, colored boolean, out name text, out items text, out rule text)
language sql immutable
as $$
    select node ->> 'label',
           case when colored and node ? 'total' then format(' (%s/%s)', node ->> 'done', node ->> 'total') end,
           replace(node ->> 'rule', '_', ' ') || coalesce(' ' || (node ->> 'at_least'), '')
$$;
comment on function dag_graph_label is 'What the label of a node says.';
