-- expire(at_most): finishes up to at_most jobs as expired whose time to live has passed before they were
-- started. Jobs that were started are left alone. Returns how many entries were looked at.
create function expire(at_most integer default 1000) returns integer
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    due bigint[];
    gone record;
begin
    with overdue as (
        delete from expiries
        where ctid = any(array(
            select e.ctid from expiries e
            where e.expires_at <= now()
            order by e.expires_at, e.job_id
            limit at_most
            for update skip locked))
        returning job_id
    )
    select coalesce(array_agg(job_id order by job_id), '{}') into due from overdue;
    if due = '{}' then
        return 0;
    end if;
    select coalesce(array_agg(w.job_id order by w.job_id), '{}') as ids,
           array_agg(w.queue order by w.job_id) as queues,
           array_agg(w.attempt order by w.job_id) as attempts
    into gone
    from withdraw(array(select j.id from jobs j where j.id = any(due) and j.expires_at <= now()), true) w;
    perform settle(gone.ids, gone.queues, gone.attempts, 'expired', 'not started within its time to live');
    return cardinality(due);
end
$$;
comment on function expire is 'Finishes jobs as expired whose time to live has passed.';
