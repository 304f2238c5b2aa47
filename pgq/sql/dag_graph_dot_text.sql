-- dag_graph_dot_text(text): a text as it must stand between quotes in DOT, whose labels know escapes and HTML entities. Internal.
create function dag_graph_dot_text(raw text) returns text
language sql immutable
as $$
    select replace(replace(replace(raw, '\', '\\'), '"', '\"'), '&', '&amp;')
$$;
comment on function dag_graph_dot_text is 'A text between quotes in DOT.';
