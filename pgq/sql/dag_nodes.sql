-- dag_nodes: one row per node of a DAG, nodes of sub-DAGs, items of maps and hidden gates (role gate) included. A stable
-- contract for SELECT; ask for one DAG (dag_id) or one node (dag_id and name, or job_id). Locks nothing.
-- scope is the sub-DAG that a node is in ("etl" for "etl/extract"), null at the top. pending, ok, failed and skipped
-- count the parents of a node that waits, null afterwards; for a map under way they count its items.
-- duration is that of the last attempt. cause is the name of the job whose failure ended this one.
-- roles: operator, reader
create view dag_nodes as
select j.dag_id,
       j.id as job_id,
       j.name,
       substring(j.name from '^(.*)/') as scope,
       j.role,
       j.kind,
       j.queue,
       s.state,
       s.attempt,
       j.max_attempts,
       j.created_at,
       s.run_at,
       s.claimed_at,
       s.finished_at,
       s.worker_id,
       s.finished_at - s.claimed_at as duration,
       j.rule,
       w.pending,
       w.ok,
       w.failed,
       w.skipped,
       coalesce(w.held, false) as held,
       s.error,
       f.cause_id,
       coalesce(c.name, 'job ' || c.id) as cause
from jobs j
join job_states s on s.id = j.id
left join waiting w on w.job_id = j.id
left join results f on f.job_id = j.id
left join jobs c on c.id = f.cause_id
where j.dag_id is not null;
comment on view dag_nodes is 'One row per node of a DAG.';
comment on column dag_nodes.dag_id is 'The DAG of which it is a node.';
comment on column dag_nodes.job_id is 'The node.';
comment on column dag_nodes.name is 'Its name in that DAG; a path for nodes of sub-DAGs.';
comment on column dag_nodes.scope is 'The sub-DAG that it is in; null at the top.';
comment on column dag_nodes.role is 'Null: a handler runs it; else dag, gate, external, sleep or map.';
comment on column dag_nodes.kind is 'Which handler is to do it; of a DAG its name.';
comment on column dag_nodes.queue is 'Where it waits or waited.';
comment on column dag_nodes.state is 'waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired.';
comment on column dag_nodes.attempt is 'Attempts so far, the running one included.';
comment on column dag_nodes.max_attempts is 'Its own limit of attempts; null: that of its queue.';
comment on column dag_nodes.created_at is 'When it was enqueued.';
comment on column dag_nodes.run_at is 'When a scheduled job becomes ready.';
comment on column dag_nodes.claimed_at is 'When a worker claimed it last.';
comment on column dag_nodes.finished_at is 'When it ended.';
comment on column dag_nodes.worker_id is 'The worker that has it or had it last.';
comment on column dag_nodes.duration is 'How long its last attempt took.';
comment on column dag_nodes.rule is 'Which ends of its parents let it run.';
comment on column dag_nodes.pending is 'Parents that have not ended, while it waits; items of a map under way.';
comment on column dag_nodes.ok is 'Parents that succeeded, while it waits.';
comment on column dag_nodes.failed is 'Parents that failed, while it waits.';
comment on column dag_nodes.skipped is 'Parents that were skipped, while it waits.';
comment on column dag_nodes.held is 'Whether an operator holds it.';
comment on column dag_nodes.error is 'Why it did not complete.';
comment on column dag_nodes.cause_id is 'The job whose failure made this one be skipped or fail.';
comment on column dag_nodes.cause is 'Name of that job.';
