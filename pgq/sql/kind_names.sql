-- kind_names(): kinds of jobs, in order: those that workers know, and those of the newest 1,000 jobs. Meant for choosing
-- from, in shells for example; a kind that was not used for long is missing. Locks nothing.
-- roles: operator, reader
create function kind_names() returns setof text
language sql stable security definer set search_path from current
set jit = off set enable_seqscan = off
as $$
    select unnest(kinds) from workers
    union
    select kind from (select kind, role from jobs order by id desc limit 1000) j where role is null
    order by 1
$$;
comment on function kind_names is 'Kinds of jobs to choose from.';
