-- dag_problems_names(names, options, oddly_named, dag_id): what is wrong with the names of nodes; index is that of the node.
-- Internal: dag_problems. Names that are no strings are null. Only those that are oddly named can be wrong in themselves.
create function dag_problems_names(names text[], options jsonb[], oddly_named bigint[], dag_id bigint)
returns table (index bigint, field text, rule text)
language plpgsql stable
as $$
#variable_conflict use_column
begin
    return query
        select p.index, 'name', p.rule
        from unnest(oddly_named) n(index)
        cross join lateral (select n.index, case
            when names[n.index] is null or length(names[n.index]) not between 1 and 200 then 'must be a string of 1 to 200 characters'
            when names[n.index] collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then 'must not have control characters'
            when names[n.index] ~ '[][()]' then 'must not have brackets or parentheses'
            when names[n.index] ~ '^/|//|/$' then 'must not have an empty part before or after a slash' end as rule) p
        where options[n.index] is not null and p.rule is not null;
    return query
        select min(n.index), 'name', format('is given to %s nodes', count(*))
        from unnest(names) with ordinality n(name, index)
        where n.name is not null
        group by n.name
        having count(*) > 1;
    if dag_id is not null then
        return query
            select n.index, 'name', 'is that of a node that exists already'
            from unnest(names) with ordinality n(name, index)
            where exists (select from jobs j where j.dag_id = dag_problems_names.dag_id and j.name = n.name offset 0);
    end if;
end
$$;
comment on function dag_problems_names is 'What is wrong with the names of nodes.';
