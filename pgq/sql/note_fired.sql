-- note_fired(names, times, ids, states, errors): notes what became of times that were to fire, in parallel arrays; not of those that a full
-- queue refused (PQ002), which are due again. Internal: fire_schedules, which holds the rows of the schedules.
create function note_fired(names text[], times timestamptz[], ids bigint[], states text[], errors text[]) returns void
language plpgsql
as $$
begin
    insert into schedule_runs (schedule, due_at, outcome, times, job_id, error)
    select f.name, f.due_at, case when f.id is null then 'failed' else 'fired' end, 1, f.id, f.error
    from unnest(names, times, ids, states, errors) f(name, due_at, id, state, error)
    where f.state is distinct from 'PQ002'
    on conflict (schedule, due_at) do update
    set outcome = excluded.outcome, times = 1, job_id = excluded.job_id, fired_at = now(), error = excluded.error
    where schedule_runs.outcome not in ('fired', 'by_hand');
    -- Keeps the last 100 of each, looked at now and then.
    perform forget_runs(array(select s.name from schedules s where s.name = any(names) and (s.runs % 10 = 0 or cardinality(names) < 10)));
end
$$;
comment on function note_fired is 'Notes what became of times that were to fire.';
