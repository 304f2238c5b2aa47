-- check_replaced(outcomes, ids): raises 42501 when one of the jobs that are to be replaced was not enqueued by the caller. Internal:
-- enqueue_jobs, for producers that are not owners.
create function check_replaced(outcomes text[], ids bigint[]) returns void
language plpgsql stable
as $$
declare
    own constant integer[] := own_producers();
    foreign_id bigint;
begin
    select j.id into foreign_id
    from jobs j
    where j.id = any(array(select v.id from unnest(ids, outcomes) v(id, outcome) where v.outcome = 'replaced'))
      and not coalesce(j.enqueued_by = any(own), false)
    limit 1;
    if found then
        raise exception using
            errcode = '42501',
            message = format('permission denied to replace job %s', foreign_id),
            detail = 'Somebody else enqueued it with the same unique key.';
    end if;
end
$$;
comment on function check_replaced is 'Refuses producers to replace jobs of others.';
