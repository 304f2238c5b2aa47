-- doom_dags(job_ids): lets the chores cancel what is left of DAGs with on_failure "cancel" which fail for sure because of these
-- jobs (doomed_dags). Internal.
create function doom_dags(job_ids bigint[]) returns void
language plpgsql
as $$
declare
    doomed bigint[];
begin
    select array_agg(distinct id) into doomed from doomed_dags(job_ids) id;
    if doomed is not null then
        insert into expiries (expires_at, job_id) select now(), id from unnest(doomed) id on conflict do nothing;
        perform wake_chores();
    end if;
end
$$;
comment on function doom_dags is 'Lets the chores cancel what is left of DAGs that fail fast.';
