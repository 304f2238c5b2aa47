-- add_vacancies(groups): notes that there may be room for these groups, or for those whose names begin so ("*" at the end). Internal: whoever
-- makes room. Takes no locks; who deals next looks at them (unpark).
create function add_vacancies(groups text[]) returns void
language sql
as $$
    insert into vacancies (group_name) select distinct u.name from unnest(groups) u(name) where u.name is not null
$$;
comment on function add_vacancies is 'Notes that there may be room for groups.';
