-- claim_jobs(worker_id, queue_name, at_most, kinds): leases up to at_most jobs of one queue to a worker: claim, for workers that are
-- written without arrays.
--
--   select to_jsonb(c) from pgq.claim_jobs(7, 'mail', kinds => '{send_mail}') c;
--
-- Zero rows, errors and locks: see claim.
-- roles: worker
create function claim_jobs(worker_id bigint, queue_name text, at_most integer default 1, kinds text[] default null)
returns table (
    job_id bigint, queue text, kind text, priority smallint, seq bigint, attempt integer, max_attempts integer,
    timeout interval, created_at timestamptz, tags text[], metadata jsonb, codec text, payload bytea, args jsonb,
    dag_id bigint, sequence text)
language plpgsql security definer set search_path from current
as $$
#variable_conflict use_column
begin
    return query select c.* from claim(claim_jobs.worker_id, array[queue_name], array[at_most], claim_jobs.kinds) c;
end
$$;
comment on function claim_jobs is 'Leases jobs of one queue to a worker.';
