-- forget_runs(names): deletes what is known of all but the last 100 runs of schedules. Internal.
create function forget_runs(names text[]) returns void
language plpgsql
as $$
begin
    delete from schedule_runs r
    using (select n.name, k.due_at
           from (select distinct name from unnest(names) name) n
           cross join lateral (
               select o.due_at from schedule_runs o where o.schedule = n.name order by o.due_at desc offset 100 limit 1) k) old
    where r.schedule = old.name and r.due_at <= old.due_at;
end
$$;
comment on function forget_runs is 'Deletes what is known of old runs of schedules.';
