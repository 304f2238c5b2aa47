-- enqueue_many(jobs): adds an array of jobs, [{"kind": ..., "args": ..., "queue": ...}, ...], with the fields
-- of enqueue (payload as base64), all or none; their ids in the order of the array.
--
--   select pgq.enqueue_many('[{"kind": "send_mail", "args": {"to": 1}}, {"kind": "tidy"}]');
--
-- Raises PQ001 with the index and field of the first job that breaks a rule, PQ002 for a full queue, 42501
-- for producers that may not enqueue into one of the queues.
-- A job that is to be unique gives the id of the one that is there already; see enqueue_jobs, which says so.
-- Jobs of one array that are alike in queue, priority and kind share ready rows (runs).
-- roles: producer
create function enqueue_many(jobs jsonb, wake_workers boolean default true) returns setof bigint
language plpgsql security definer set search_path from current
as $$
begin
    return query select j.job_id from enqueue_jobs(enqueue_many.jobs, wake_workers) j;
end
$$;
comment on function enqueue_many is 'Adds an array of jobs, [{"kind": ..., "args": ..., "queue": ...}, ...] with the fields of enqueue, all or none; returns their ids in order.';
