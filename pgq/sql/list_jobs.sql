-- list_jobs(filter, at_most): jobs that fit a filter (see select_jobs), newest first. The filter's "before" gives the next
-- page: the id of the last row.
--
--   select id, kind, state, error from pgq.list_jobs('{"queues": ["mail"], "states": ["failed"]}');
--
-- Looks for at_most jobs however many it has to look at: select_jobs is the bounded step of it.
-- roles: operator, reader
create function list_jobs(filter jsonb default '{}', at_most integer default 100) returns setof job_states
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    found bigint[] := '{}';
    page record;
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    loop
        select * into page from select_jobs(filter, at_most - cardinality(found), newest_first => true);
        found := found || page.job_ids;
        exit when page.next is null or cardinality(found) = at_most;
        filter := filter || jsonb_build_object('before', page.next);
    end loop;
    return query select s.* from job_states s where s.id = any(found) order by s.id desc;
end
$$;
comment on function list_jobs is 'Jobs that fit a filter, newest first.';
