-- judge(job_ids): decides those of these waiting jobs that can be decided by their counters as they stand, and tells their
-- children. Internal: the caller has put the jobs into waiting, or changed their rows, in the same transaction.
-- Locks: rows of waiting in the order of their ids.
create function judge(job_ids bigint[]) returns void
language plpgsql
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
    decided record;
    finished bigint[];
begin
    with locked as materialized (
        select * from waiting w where w.job_id = any(job_ids) order by w.job_id for no key update
    ), judged as (
        select *, node_verdict(pending, ok, failed, skipped, need_ok, need_failed, max_failed, max_skipped, eager,
                               held and (role is null or role not in ('dag', 'items'))) as verdict
        from locked
    )
    select array_agg(job_id) filter (where verdict = 'run' and role is null) as starting,
           array_agg(job_id) filter (where verdict is not null and not (verdict = 'run' and role is null)) as others,
           array_agg(verdict) filter (where verdict is not null and not (verdict = 'run' and role is null)) as verdicts,
           array_agg(job_id) filter (where verdict is null and role = 'items') as maps
    into decided
    from judged;
    finished := carry_out(decided.starting, decided.others, decided.verdicts, decided.maps);
    if finished <> '{}' then
        perform doom_dags(finished);
        perform propagate(finished);
    end if;
end
$$;
comment on function judge is 'Decides waiting jobs by their counters as they stand.';
