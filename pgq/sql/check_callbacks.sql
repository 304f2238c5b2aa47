-- check_callbacks(jobs): raises PQ001 for the first job of a JSON array with callbacks that are none. Internal: check_jobs_json.
create function check_callbacks(jobs jsonb) returns void
language plpgsql stable
as $$
declare
    sort record;
begin
    -- Each sort once: mostly they are all the same.
    for sort in
        select min(j.index) as index, j.callbacks from jobs_from_json(jobs) j where j.callbacks is not null group by j.callbacks order by 1
    loop
        perform check_callbacks_object(format('jobs[%s].callbacks', sort.index), sort.callbacks);
    end loop;
end
$$;
comment on function check_callbacks is 'Refuses jobs with callbacks that are none.';
