-- limit_of(group_name): the limit of a group: the one of its name, else that with the longest name which ends in "*" and begins as the
-- group does; no row where there is none. Looks at one row and at those whose names end in "*", of which there are few.
-- Internal: without a search_path of its own, so that it can be inlined.
create function limit_of(group_name text) returns setof limits
language sql stable
as $$
    select l.* from (
        select x.* from limits x where x.scope = 'group' and x.name = limit_of.group_name
        union all
        select x.* from limits x
        where x.scope = 'group' and right(x.name, 1) = '*' and starts_with(limit_of.group_name, rtrim(x.name, '*'))) l
    where limit_of.group_name <> ''
    order by l.name = limit_of.group_name desc, length(l.name) desc
    limit 1
$$;
comment on function limit_of is 'The limit of a group.';
