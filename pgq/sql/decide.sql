-- decide(job_ids, verdicts): does what verdicts (run, skip) say with waiting jobs, except that of jobs which a handler
-- is to run (start_nodes). Internal: the caller has locked their rows of waiting and written their counters.
-- Returns the jobs that are finished by it.
create function decide(job_ids bigint[], verdicts text[]) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    asked record;
    finished bigint[];
    opening record;
begin
    select array_agg(id order by id) as ids, array_agg((verdict = 'skip')::integer order by id) as skips
    into asked
    from unnest(job_ids, verdicts) u(id, verdict);
    with gone as (
        delete from waiting w
        where w.job_id = any(asked.ids)
          and (w.role is null or w.role in ('dag', 'gate', 'items') or asked.skips[width_bucket(w.job_id, asked.ids)] = 1)
        returning w.*, asked.skips[width_bucket(w.job_id, asked.ids)] = 1 as skip
    ), ended as materialized (
        select g.*, j.dag_id, j.name, j.result_ttl, j.rule, s.state,
               case when s.state in ('failed', 'skipped')
                         and (g.role in ('dag', 'items') or g.failed > g.max_failed or g.ok < g.need_ok)
                    then g.cause_id end as cause,
               case when s.state = 'completed' and g.role in ('items', 'dag')
                    then virtual_result(g.job_id, g.role, g.ok, g.failed) end as result
        from gone g
        cross join lateral (select * from jobs where jobs.id = g.job_id offset 0) j
        cross join lateral (select case
            when g.ending is not null then g.ending
            when g.role is not distinct from 'dag' and j.dag_id is not null and gate_was_skipped(j.dag_id, j.name) then 'skipped'
            when g.role = 'dag' and g.failed > 0 then 'failed'
            when g.role = 'items' and g.skip then 'failed'
            when g.skip then 'skipped'
            else 'completed' end) s(state)
    ), added as (
        insert into results (job_id, queue, state, attempt, expires_at, error, dag_id, cause_id, output, codec, payload)
        select job_id, queue, state, attempt, now() + result_ttl,
               case
                   when state = 'completed' then null
                   when reason is not null then reason
                   when cause is null then format('rule %s: of its parents %s succeeded, %s failed, %s were skipped',
                                                  coalesce(rule, 'all'), ok, failed, skipped)
                   else (select format('%s %s', coalesce(j.name, 'job ' || f.job_id), f.state)
                         from results f left join jobs j on j.id = f.job_id
                         where f.job_id = cause) end,
               dag_id, cause, (result).output, (result).codec, (result).payload
        from ended
    ), listening as materialized (
        select queue, wants_event(queue, true) as change, wants_event(queue, false) as every
        from (select distinct queue from ended) q
    ), told as (
        insert into events (job_id, queue, type, attempt, data)
        select e.job_id, e.queue, e.state, e.attempt, jsonb_strip_nulls(jsonb_build_object('cause', e.cause))
        from ended e
        join listening l on l.queue = e.queue
             and case when e.role in ('dag', 'items') or e.state <> 'completed' then l.change else l.every and e.role <> 'gate' end
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
