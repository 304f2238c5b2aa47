-- check_schedule_job(kind, args, options): the job of a schedule as enqueue_many takes it. Raises PQ001 with the field that breaks a
-- rule. That its queue is full at the moment does not matter. Internal: set_schedule.
create function check_schedule_job(kind text, args jsonb, options jsonb) returns jsonb
language plpgsql stable
as $$
declare
    job jsonb := case when jsonb_typeof(options) in ('object', 'null') then nullif(options, 'null') end;
    field text;
    rule text;
begin
    if jsonb_typeof(options) not in ('object', 'null') then
        perform invalid('options', 'must be a JSON object');
    elsif kind is null then
        perform invalid('kind', 'must be given, or a DAG');
    elsif job ?| '{kind,args}' then
        perform invalid('options', 'must not have kind or args, which are fields of their own');
    elsif job ?| '{delay,run_at}' then
        perform invalid('options', 'must not have delay or run_at: the spec says when');
    end if;
    job := coalesce(job, '{}') || jsonb_build_object('kind', kind)
        || case when args is null then '{}' else jsonb_build_object('args', args) end;
    begin
        perform check_jobs_json(jsonb_build_array(job));
    exception
        when sqlstate 'PQ002' then
            null;
        when sqlstate 'PQ001' then
            get stacked diagnostics field = column_name, rule = pg_exception_detail;
            perform invalid(coalesce(nullif(regexp_replace(field, '^jobs\[0\]\.?', ''), ''), 'options'), rule);
    end;
    return job;
end
$$;
comment on function check_schedule_job is 'The job of a schedule, checked.';
