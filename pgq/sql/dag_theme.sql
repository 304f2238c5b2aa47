-- dag_theme(theme): the colours of a theme for pictures of DAGs: a row per state of a node: fill, stroke and text, as
-- #rrggbb. Themes: default, blue_professional, dark, pastel, high_contrast, grayscale; raises PQ001 for others.
-- held is a node that waits and is held.
-- roles: producer, worker, operator, reader
create function dag_theme(theme text default 'default')
returns table (state text, fill text, stroke text, color text)
language plpgsql immutable security definer set search_path from current
as $$
#variable_conflict use_column
declare
    states constant text[] := '{waiting,held,scheduled,ready,running,completed,failed,cancelled,expired,skipped,lost}';
    fills text[];
    strokes text[];
    colors text[]; -- the last one is that of all further states
begin
    case dag_theme.theme
        when 'default' then
            fills := '{f2f4f7,e9d7fe,e0eaff,fef0c7,b2ddff,a6f4c5,fda29b,eaaa08,f9dbaf,d0d5dd,ee46bc}';
            strokes := '{98a2b3,9e77ed,6172f3,f79009,1570ef,039855,d92d20,a15c07,b93815,667085,9e165f}';
            colors := '{1d2939}';
        when 'blue_professional' then
            fills := '{eaf2fb,d6dff0,c9dcf5,9cc4f0,3d85d8,1f4e8c,b3362b,8a94a6,8a94a6,dde3ec,b3362b}';
            strokes := '{7a9cc6,5b6f94,5f8fc9,3f7fc4,1b5aa5,0b2c57,701d15,5a6473,5a6473,a4afbf,000000}';
            colors := '{0b2c57,0b2c57,0b2c57,0b2c57,ffffff,ffffff,ffffff,ffffff,ffffff,0b2c57,ffffff}';
        when 'dark' then
            fills := '{30363d,3d2f5b,26344d,5c4813,1b4b82,1d5c34,7d2420,5a4a12,5e3a1a,262b31,7a1f5c}';
            strokes := '{6e7681,a98eda,6d8fc7,d9a520,58a6ff,3fb950,ff7b72,d0b030,e09150,484f58,f778ba}';
            colors := '{f0f6fc}';
        when 'pastel' then
            fills := '{f7f5f0,ece3f7,e3ecf9,fdf3d0,d3e9f8,d8f0dc,f9d9d6,f5e6c8,f8e1d1,e9e9ec,f7d6ea}';
            strokes := '{cfc8bb,c3aee0,aac0e4,e7cf88,92c1e3,9ad0a5,e6a09a,d9bd83,e0b294,bdbdc4,e09cc6}';
            colors := '{4a4a55}';
        when 'high_contrast' then
            fills := '{ffffff,ffffff,ffffff,ffff00,0000c8,006400,c80000,000000,000000,ffffff,c800c8}';
            strokes := '{000000,c800c8,0000c8,000000,000000,000000,000000,c80000,ff8c00,808080,000000}';
            colors := '{000000,000000,000000,000000,ffffff,ffffff,ffffff,ffffff,ffffff,000000,ffffff}';
        when 'grayscale' then
            fills := '{ffffff,ffffff,f0f0f0,dedede,b8b8b8,7d7d7d,1f1f1f,4d4d4d,4d4d4d,ececec,000000}';
            strokes := '{9a9a9a,000000,7a7a7a,5a5a5a,3a3a3a,2a2a2a,000000,000000,000000,bdbdbd,000000}';
            colors := '{000000,000000,000000,000000,000000,ffffff,ffffff,ffffff,ffffff,5a5a5a,ffffff}';
        else
            perform invalid('theme', 'must be default, blue_professional, dark, pastel, high_contrast or grayscale');
    end case;
    return query
        select u.state, '#' || u.fill, '#' || u.stroke, '#' || coalesce(u.color, colors[cardinality(colors)])
        from unnest(states, fills, strokes, colors) with ordinality u(state, fill, stroke, color, place)
        order by u.place;
end
$$;
comment on function dag_theme is 'The colours of a theme for pictures of DAGs.';
