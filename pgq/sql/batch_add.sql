-- batch_add(batch_id, jobs, member_id): adds jobs, a JSON array as in batch_submit, to a batch that is open, in the caller's transaction; {"batch": id} adds
-- another batch, which counts as one job and has to end before this one. Their ids in the order of the array. A job of the batch that runs (member_id) may
-- add others after the batch was closed, too, since it has not ended before that job has.
-- Raises PQ001 with the first field that breaks a rule ("jobs[3].kind"), for a batch that is closed or has ended, and for a batch that waits for
-- this one; PQ004 when there is no such batch; 42501 for producers that go beyond their rights. Nothing is written then.
-- What it costs depends on the jobs that are added, not on how many there are. Locks: those of dag_extend.
-- roles: producer, worker, operator
create function batch_add(batch_id bigint, jobs jsonb, member_id bigint default null) returns setof bigint
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    members record;
    watched boolean;
    field text;
    detail text;
begin
    perform check_batch(batch_id);
    perform check_batch_producer(batch_id, jobs);
    perform check_batch_jobs(jobs);
    if jobs = '[]' then
        return;
    end if;
    if jsonb_path_exists(jobs, '$[*].batch') then
        perform pg_advisory_xact_lock(advisory_key('cycles'));
    end if;
    perform lock_dags(batch_id || array(select b::bigint from jsonb_path_query(jobs, '$[*].batch') b));
    perform w.job_id from waiting w
    where w.job_id = any(batch_id || array(
        select j.id from jobs j where j.dag_id = batch_add.batch_id and j.name in ('jobs', 'on_failure')))
    order by w.job_id for update;
    select w.pending + w.ok + w.failed + w.skipped - 1 as n into members
    from jobs j join waiting w on w.job_id = j.id
    where j.dag_id = batch_add.batch_id and j.name = 'jobs';
    if not found or exists (select from waiting w where w.job_id = batch_add.batch_id and w.ending is not null) then
        perform invalid('batch_id', format('must be a batch that has not ended; %s has', batch_id));
    elsif exists (select from results f where f.job_id = (
              select j.id from jobs j where j.dag_id = batch_add.batch_id and j.name = 'jobs/close'))
          and not exists (select from running r where r.job_id = batch_add.member_id and r.dag_id = batch_add.batch_id) then
        perform invalid('batch_id', format('must be an open batch; %s is closed', batch_id));
    end if;
    watched := exists (
        select from jobs j join waiting w on w.job_id = j.id where j.dag_id = batch_add.batch_id and j.name = 'on_failure');
    begin
        return query select e from dag_extend(batch_id, jsonb_build_object('nodes', batch_nodes(jobs, members.n, watched))) e;
    exception when sqlstate 'PQ001' then
        get stacked diagnostics field = column_name, detail = pg_exception_detail;
        perform batch_refuse(field, detail, members.n);
    end;
end
$$;
comment on function batch_add is 'Adds jobs to a batch that is open.';
