-- dag_edges: one row per edge between jobs, in the DAG of the child. A stable contract for SELECT; ask for one DAG
-- (dag_id). Locks nothing. Edges into the DAG's own job, which waits for its leaves, have no child name; parents that
-- are not of this DAG have no parent name. Edges of hidden gates and of items to their maps are among them.
-- roles: operator, reader
create view dag_edges as
select c.dag_id,
       e.parent_id,
       p.name as parent,
       e.child_id,
       c.name as child,
       e.soft,
       e.condition::text as condition
from jobs c
join edges e on e.child_id = c.id
left join jobs p on p.id = e.parent_id and p.dag_id = c.dag_id
where c.dag_id is not null
union all
select d.id,
       e.parent_id,
       p.name,
       e.child_id,
       null,
       e.soft,
       e.condition::text
from jobs d
join edges e on e.child_id = d.id
left join jobs p on p.id = e.parent_id and p.dag_id = d.id
where d.role = 'dag'
  and d.dag_id is null;
comment on view dag_edges is 'One row per edge.';
comment on column dag_edges.dag_id is 'The DAG.';
comment on column dag_edges.parent_id is 'The job that is waited for.';
comment on column dag_edges.parent is 'Its name; null: it is not of this DAG.';
comment on column dag_edges.child_id is 'The node that waits.';
comment on column dag_edges.child is 'Its name.';
comment on column dag_edges.soft is 'Whether a parent that failed counts as if it had succeeded.';
comment on column dag_edges.condition is 'What the result of the parent must fulfil.';
