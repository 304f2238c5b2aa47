-- dag_blockers: what waiting nodes wait for: one row per node and parent that is not finished. A stable contract for
-- SELECT; ask for one DAG (dag_id) or node. Locks nothing. Nothing for a node: it does not wait for parents; see
-- dag_explain. Parents may be hidden gates ("etl/(start)"), which have rows of their own; one that is not of this DAG has
-- no name. since is when the parent was claimed, or else when it was added.
-- roles: operator, reader
create view dag_blockers as
select c.dag_id,
       c.name as node,
       w.job_id,
       e.parent_id,
       case when p.dag_id = c.dag_id then p.name end as parent,
       p.state as parent_state,
       coalesce(p.claimed_at, p.created_at) as since
from waiting w
join jobs c on c.id = w.job_id
join edges e on e.child_id = w.job_id
-- "offset 0": the planner takes jobs that have not finished for few and would look for them among all jobs.
cross join lateral (select * from job_states where id = e.parent_id offset 0) p
where c.dag_id is not null
  and w.pending > 0
  and not exists (select from results f where f.job_id = e.parent_id);
comment on view dag_blockers is 'What waiting nodes wait for.';
comment on column dag_blockers.dag_id is 'The DAG.';
comment on column dag_blockers.node is 'Name of the node that waits.';
comment on column dag_blockers.job_id is 'The node that waits.';
comment on column dag_blockers.parent_id is 'A parent that has not ended.';
comment on column dag_blockers.parent is 'Name of the parent; null: it is not of this DAG.';
comment on column dag_blockers.parent_state is 'State of the parent.';
comment on column dag_blockers.since is 'When the parent was claimed, or else when it was added.';
