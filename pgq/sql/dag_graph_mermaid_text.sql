-- dag_graph_mermaid_text(text): a text as it must stand between quotes in a Mermaid flowchart. What Mermaid might take for
-- more than text becomes a character reference (#34; for a quote): quotes, HTML, Markdown, comments, and the
-- word "direction", for which its lexer looks at whole lines. Internal.
create function dag_graph_mermaid_text(raw text) returns text
language sql immutable
as $$
    select replace(string_agg(
               case
                   when c ~ '[A-Za-z0-9 /,]'
                        or c ~ '[-_.]' and before ~ '[A-Za-z0-9]' and after <> ' '
                        or ascii(c) > 160 and c !~ '[\u00b6\u2028\u2029\ufb02]' then c
                   else '#' || ascii(c) || ';'
               end, '' order by place), 'direction', 'd#105;rection')
    from (select c, place, lag(c) over (order by place) as before, lead(c, 1, '') over (order by place) as after
          from regexp_split_to_table(raw, '') with ordinality s(c, place)) characters
$$;
comment on function dag_graph_mermaid_text is 'A text between quotes in Mermaid.';
