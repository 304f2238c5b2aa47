-- schedule_alive(name): the jobs of the last runs of a schedule that have not ended. Internal: plan_schedule.
create function schedule_alive(name text) returns bigint[]
language sql stable
as $$
    select array(
        select r.job_id
        from (select r.job_id from schedule_runs r
              where r.schedule = schedule_alive.name and r.job_id is not null
              order by r.due_at desc limit 20) r
        cross join lateral (select from jobs j where j.id = r.job_id offset 0) j
        where not exists (select from results f where f.job_id = r.job_id)
        order by r.job_id)
$$;
comment on function schedule_alive is 'Jobs of a schedule that have not ended.';
