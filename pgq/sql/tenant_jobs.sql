-- tenant_jobs: the jobs of the tenants that the caller may read: those whose metadata name one of them ({"tenant": "acme"}), and the
-- nodes of such DAGs. Args and results are null unless granted (payloads). A stable contract for SELECT; ask by id, or
-- newest first with a limit: there is no index by tenant. Locks nothing.
-- Its order is for that, as in own_jobs.
-- roles: tenant
create view tenant_jobs with (security_barrier) as
select t.tenant, j.id, j.queue, j.kind, j.priority, s.state, s.attempt, j.max_attempts, j.created_at, s.run_at, s.claimed_at, f.finished_at,
       j.expires_at, j.timeout, j.tags, j.metadata, f.error, j.dag_id, j.name,
       case when t.tenant = any((select own_tenants(true))::text[]) then j.args end as args, j.codec,
       case when t.tenant = any((select own_tenants(true))::text[]) then j.payload end as payload,
       case when t.tenant = any((select own_tenants(true))::text[]) then f.output end as output, f.codec as output_codec,
       case when t.tenant = any((select own_tenants(true))::text[]) then f.payload end as output_payload,
       j.group_name
from jobs j
left join lateral (select metadata from jobs where id = j.dag_id offset 0) d on true
cross join lateral (select coalesce(d.metadata ->> 'tenant', j.metadata ->> 'tenant') as tenant) t
cross join lateral (select state, attempt, run_at, claimed_at from job_states where id = j.id offset 0) s
left join lateral (select error, finished_at, output, codec, payload from results where job_id = j.id offset 0) f on true
where t.tenant = any((select own_tenants())::text[])
order by j.id desc;
comment on view tenant_jobs is 'The jobs of the tenants that the caller may read.';
comment on column tenant_jobs.tenant is 'The tenant that its metadata name.';
comment on column tenant_jobs.id is 'The job.';
comment on column tenant_jobs.queue is 'Where it waits or waited.';
comment on column tenant_jobs.kind is 'Which handler is to do it; of a DAG its name.';
comment on column tenant_jobs.priority is '0 (soonest) to 9.';
comment on column tenant_jobs.state is 'waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired.';
comment on column tenant_jobs.attempt is 'Attempts so far, the running one included.';
comment on column tenant_jobs.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column tenant_jobs.created_at is 'When it was enqueued.';
comment on column tenant_jobs.run_at is 'When a scheduled job becomes ready.';
comment on column tenant_jobs.claimed_at is 'When a worker claimed it last.';
comment on column tenant_jobs.finished_at is 'When it ended.';
comment on column tenant_jobs.expires_at is 'When it expires unless it was started; the deadline of a DAG.';
comment on column tenant_jobs.timeout is 'For how long an attempt may run; null: as its queue says.';
comment on column tenant_jobs.tags is 'Words to find it by.';
comment on column tenant_jobs.metadata is 'A JSON object that goes with it.';
comment on column tenant_jobs.error is 'Why it did not complete.';
comment on column tenant_jobs.dag_id is 'The DAG of which it is a node.';
comment on column tenant_jobs.name is 'Its name in that DAG; a path for nodes of sub-DAGs.';
comment on column tenant_jobs.args is 'Its input.';
comment on column tenant_jobs.codec is 'Which codec wrote payload; null: args are JSON.';
comment on column tenant_jobs.payload is 'Its input in place of args, as a codec wrote it.';
comment on column tenant_jobs.output is 'The result''s value.';
comment on column tenant_jobs.output_codec is 'Which codec wrote output_payload; null: output is JSON.';
comment on column tenant_jobs.output_payload is 'The result''s value in place of output, as a codec wrote it.';
comment on column tenant_jobs.group_name is 'The group with which it shares limits and takes turns.';
