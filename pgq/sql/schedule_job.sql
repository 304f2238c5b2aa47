-- schedule_job(schedule, due_at): what a schedule enqueues for a time: its job, or its DAG, whose key is the name and the time. Both say in
-- their metadata which schedule they are of and for which time: {"schedule": "report", "due_at": "2030-01-31T18:00:00Z"}. Internal.
create function schedule_job(schedule schedules, due_at timestamptz) returns jsonb
language plpgsql stable
as $$
declare
    target constant jsonb := coalesce(schedule.job, schedule.dag);
    at constant text := rfc3339(due_at);
    metadata constant jsonb := jsonb_build_object('schedule', schedule.name, 'due_at', at);
begin
    return target || jsonb_build_object(
        'metadata', case when jsonb_typeof(target -> 'metadata') = 'object' then (target -> 'metadata') || metadata else metadata end)
        || case when schedule.dag is null then '{}' else jsonb_build_object('key', schedule.name || '@' || at) end;
end
$$;
comment on function schedule_job is 'What a schedule enqueues for a time.';
