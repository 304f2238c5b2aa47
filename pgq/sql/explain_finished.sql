-- explain_finished(id): how a job ended and, where another job is the cause, through which parents that came. Internal:
-- explain. Walks at most 100 parents up.
create function explain_finished(id bigint) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    ended record;
    step bigint := explain_finished.id;
    names text[] := '{}';
    cause record;
begin
    select f.*, j.dag_id as dag, j.max_attempts into ended
    from results f left join jobs j on j.id = f.job_id
    where f.job_id = explain_finished.id;
    return query select ended.state,
        format('%s at %s', ended.state, explain_time(ended.finished_at))
        || case when ended.claimed_at is not null
               then format(' in attempt %s, after %s', ended.attempt, explain_age(ended.finished_at - ended.claimed_at)) else '' end
        || coalesce(': ' || ended.error, ''), explain_finished.id;
    if ended.cause_id is null then
        return;
    end if;
    for i in 1 .. 100 loop
        step := (
            select e.parent_id
            from (select parent_id from edges where child_id = step and not soft offset 0) e
            cross join lateral (
                select job_id, cause_id from results where job_id = e.parent_id offset 0) f
            where f.job_id = ended.cause_id or f.cause_id = ended.cause_id
            order by f.job_id = ended.cause_id desc, f.job_id
            limit 1);
        exit when step is null or step = ended.cause_id;
        names := names || (select j.name from jobs j where j.id = step and coalesce(j.role, '') <> 'gate');
    end loop;
    select j.id, case when j.dag_id = coalesce(ended.dag, ended.job_id) then j.name end as name, f.state, f.error, f.finished_at into cause
    from (select ended.cause_id as id) c
    left join jobs j on j.id = c.id
    left join results f on f.job_id = c.id;
    return query select 'cause',
        format('%s %s%s%s%s', coalesce(cause.name, 'job ' || ended.cause_id), coalesce(cause.state, 'has been deleted'),
               coalesce(' at ' || explain_time(cause.finished_at), ''),
               ', which came here through ' || nullif(array_to_string(array(
                   select n from unnest(names) with ordinality u(n, i) order by i desc), ', '), ''),
               ': ' || cause.error),
        ended.cause_id;
end
$$;
comment on function explain_finished is 'How a job ended, and why.';
