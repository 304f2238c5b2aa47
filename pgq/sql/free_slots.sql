-- free_slots(job_ids): gives back the slots of attempts that counted for a limit. Internal: who has just deleted these from running, so that a
-- slot is seen exactly as long as its lease.
create function free_slots(job_ids bigint[]) returns void
language plpgsql -- keeps its plan
as $$
begin
    with freed as (
        delete from slots s where s.job_id = any(job_ids) returning s.group_name
    )
    insert into vacancies (group_name) select distinct f.group_name from freed f where f.group_name <> '';
end
$$;
comment on function free_slots is 'Gives back slots of attempts that have ended.';
