-- run_schedule(name): enqueues now what a schedule would, whether it is due, paused or has ended, and whatever its earlier runs do; returns the
-- id of the job. Its times and max_runs are not touched by that. Raises PQ004 when there is none, PQ002 for a full queue. Locks:
-- its row.
-- roles: operator
create function run_schedule(name text) returns bigint
language plpgsql security definer set search_path from current
as $$
declare
    schedule constant schedules := find_schedule(name);
    due constant timestamptz := clock_timestamp();
    job_id bigint;
begin
    perform act_as_owner(true);
    if schedule.dag is null then
        job_id := (select j from enqueue_many(jsonb_build_array(schedule_job(schedule, due))) j);
    else
        job_id := (select d.dag_id from dag_submit(schedule_job(schedule, due)) d);
    end if;
    perform act_as_owner(false);
    insert into schedule_runs (schedule, due_at, outcome, times, job_id) values (schedule.name, due, 'by_hand', 1, job_id);
    update schedules s set (last_job_id, last_fired_at) = (job_id, due) where s.name = schedule.name;
    perform forget_runs(array[schedule.name]);
    return job_id;
end
$$;
comment on function run_schedule is 'Enqueues now what a schedule would.';
