-- limit_of(group_name): the limit of a group: the one of its name, else that with the longest name which ends in "*" and begins as the
-- group does; no row where there is none. Internal: without a search_path of its own, so that it can be inlined.
create function limit_of(group_name text) returns setof limits
language sql stable
as $$
    select l.* from limits l
    where l.scope = 'group' and limit_of.group_name <> ''
      and (l.name = limit_of.group_name or right(l.name, 1) = '*' and starts_with(limit_of.group_name, rtrim(l.name, '*')))
    order by l.name = limit_of.group_name desc, length(l.name) desc
    limit 1
$$;
comment on function limit_of is 'The limit of a group.';
