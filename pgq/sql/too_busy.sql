-- too_busy(job_ids): raises PQ006: jobs moved each time they were looked at. Internal.
create function too_busy(job_ids bigint[]) returns void
language plpgsql
as $$
begin
    raise exception using
        errcode = 'PQ006',
        message = format('jobs %s move faster than they can be changed', array_to_string(job_ids[1:10], ', ')),
        hint = 'Try again.';
end
$$;
comment on function too_busy is 'Raises PQ006: jobs move faster than they can be changed.';
