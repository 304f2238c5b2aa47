-- dag_nodes: one row per node of a DAG, nodes of sub-DAGs, items of maps and hidden gates (role gate) included. A stable
-- contract for SELECT; ask for one DAG (dag_id) or one node (dag_id and name, or job_id). Locks nothing.
-- scope is the sub-DAG that a node is in ("etl" for "etl/extract"), null at the top. pending, ok, failed and skipped
-- count the parents of a node that waits, null afterwards; for a map under way they count its items.
-- duration is that of the last attempt. cause is the name of the job whose failure ended this one.
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
