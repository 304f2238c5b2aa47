-- delete_schedule(name): deletes a schedule and what is known of its runs; the jobs that it enqueued stay. Raises PQ004 when there is
-- none. Locks: its row.
-- roles: operator
create function delete_schedule(name text) returns void
language plpgsql security definer set search_path from current
as $$
begin
    perform find_schedule(delete_schedule.name);
    delete from schedules s where s.name = delete_schedule.name;
    delete from schedule_runs r where r.schedule = delete_schedule.name;
end
$$;
comment on function delete_schedule is 'Deletes a schedule.';
