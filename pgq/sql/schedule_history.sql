-- schedule_history(name, at_most): what became of the last times at which a schedule was due, latest first: fired, by_hand (run_schedule),
-- missed (nobody did chores), overlapped (an earlier run had not ended), failed (refused, with the error). times: how many
-- times a row stands for; null: unknown. About 100 rows are kept. Locks nothing.
-- roles: operator, reader
create function schedule_history(name text, at_most integer default 100)
returns table (due_at timestamptz, outcome text, times bigint, job_id bigint, fired_at timestamptz, error text)
language sql stable security definer set search_path from current
as $$
    select r.due_at, r.outcome, r.times, r.job_id, r.fired_at, r.error
    from schedule_runs r
    where r.schedule = schedule_history.name
    order by r.due_at desc
    limit within('at_most', at_most, 0, 1000000)
$$;
comment on function schedule_history is 'What became of the last times of a schedule.';
