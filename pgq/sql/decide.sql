-- decide(job_ids, verdicts): does what verdicts (run, skip) say with waiting jobs, except that of jobs which a handler
-- is to run (start_nodes). Internal: the caller has locked their rows of waiting and written their counters.
-- Returns the jobs that are finished by it.
create function decide(job_ids bigint[], verdicts text[]) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    finished bigint[];
    opening record;
begin
    with gone as (
        delete from waiting w
        where w.job_id = any(job_ids)
          and (w.role is null or w.role in ('dag', 'gate', 'items')
               or verdicts[array_position(job_ids, w.job_id)] = 'skip')
        returning w.*, verdicts[array_position(job_ids, w.job_id)] as verdict
    ), ended as materialized (
        select g.*, j.dag_id, j.name, j.result_ttl, j.rule, s.state,
               case when s.state in ('failed', 'skipped')
                         and (g.role in ('dag', 'items') or g.failed > g.max_failed or g.ok < g.need_ok)
                    then g.cause_id end as cause
        from gone g
        cross join lateral (select * from jobs where jobs.id = g.job_id offset 0) j
        cross join lateral (select case
            when g.ending is not null then g.ending
            when g.role is not distinct from 'dag' and j.dag_id is not null and gate_was_skipped(j.dag_id, j.name) then 'skipped'
            when g.role = 'dag' and g.failed > 0 then 'failed'
            when g.role = 'items' and g.verdict = 'skip' then 'failed'
            when g.verdict = 'skip' then 'skipped'
            else 'completed' end) s(state)
    ), added as (
        insert into results (job_id, queue, state, attempt, expires_at, error, dag_id, cause_id, output)
        select job_id, queue, state, attempt, now() + result_ttl,
               case when state <> 'completed' then coalesce(reason, skip_reason(cause, rule, ok, failed, skipped)) end,
               dag_id, cause,
               case when state = 'completed' then virtual_output(job_id, role, ok, failed) end
        from ended
    ), told as (
        insert into events (job_id, queue, type, attempt, data)
        select job_id, queue, state, attempt, jsonb_strip_nulls(jsonb_build_object('cause', cause))
        from ended
        where (state <> 'completed' or role <> 'gate') and wants_event(queue, role in ('dag', 'items') or state <> 'completed')
    )
    select coalesce(array_agg(job_id), '{}') into finished from ended;
    if cardinality(finished) < cardinality(job_ids) then
        for opening in
            select w.job_id, w.role from waiting w
            where w.job_id = any(job_ids) and w.role in ('external', 'sleep', 'map')
            order by w.job_id
        loop
            if (case opening.role when 'map' then begin_map(opening.job_id) else open_external(opening.job_id) end) then
                finished := finished || opening.job_id;
            end if;
        end loop;
    end if;
    perform notify_subscribers();
    return finished;
end
$$;
comment on function decide is 'Does what verdicts say with waiting jobs.';
