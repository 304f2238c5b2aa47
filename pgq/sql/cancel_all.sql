-- cancel_all(job_ids, reason): cancel, without its answer. Internal.
create function cancel_all(job_ids bigint[], reason text) returns void
language plpgsql
as $$
begin
    perform from cancel(job_ids, reason);
end
$$;
comment on function cancel_all is 'Cancels jobs.';
