-- check_callback(field, callback, plain): raises PQ001 for what is wrong with a job that is to be enqueued when something has happened to another one, as
-- an object like those of enqueue_many. That its kind must be known is checked as soon as any worker has ever been registered: a callback that
-- nobody is there for would be missed too late. plain: of a job, not of a batch,
-- whose callbacks are nodes of a DAG. Internal.
create function check_callback(field text, callback jsonb, plain boolean) returns void
language plpgsql stable
as $$
declare
    part text;
    rule text;
begin
    if jsonb_typeof(callback) <> 'object' then
        perform invalid(field, 'must be a JSON object');
    end if;
    select key into part
    from unnest('{unique,run_at,callbacks,sequence,on_failure}'::text[] || case when plain then 'group' else 'result_ttl' end) key
    where callback ? key limit 1;
    if found then
        perform invalid(field || '.' || part, 'must not be given for a callback');
    end if;
    begin
        perform check_jobs_json(jsonb_build_array(callback));
    exception
        when sqlstate 'PQ002' then
            null; -- it may have room when it is to be enqueued, and is enqueued anyhow
        when sqlstate 'PQ001' then
            get stacked diagnostics part = column_name, rule = pg_exception_detail;
            perform invalid(field || substr(part, length('jobs[0]') + 1), rule);
    end;
    if exists (select from known_kinds) and not exists (select from known_kinds k where k.name = callback ->> 'kind') then
        perform invalid(field || '.kind', format('must be a kind that workers know; %s is none', to_json(callback ->> 'kind')));
    end if;
end
$$;
comment on function check_callback is 'Refuses what is no callback.';
