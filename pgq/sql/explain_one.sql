-- explain_one(id, chase): what explain_job says. chase: whether to look for what blocks the parents of a job that waits, and
-- theirs, and so on. Raises PQ004 when there is no such job. Internal: explain_job and dag_explain.
create function explain_one(id bigint, chase boolean default true)
returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    state text;
begin
    select s.state into state from job_states s where s.id = explain_one.id;
    if state is null then
        raise exception using
            errcode = 'PQ004',
            message = format('there is no job %s', coalesce(explain_one.id::text, 'null'));
    end if;
    case state
        when 'waiting' then
            return query select * from explain_waiting(explain_one.id, chase);
        when 'scheduled' then
            return query select * from explain_scheduled(explain_one.id);
        when 'ready' then
            return query select * from explain_ready(explain_one.id);
        when 'running' then
            return query select * from explain_running(explain_one.id);
        when 'lost' then
            return query select 'lost', 'is in none of the places where jobs are: an invariant is broken', explain_one.id;
        else
            return query select * from explain_finished(explain_one.id);
    end case;
end
$$;
comment on function explain_one is 'What explain_job says.';
