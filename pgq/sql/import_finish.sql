-- import_finish(): refuses (PQ001) what was imported in this transaction if parts are missing: nodes without their DAG, edges without one of
-- their jobs, jobs that are nowhere. Reads all edges and nodes. Call it before the transaction that imported jobs commits.
-- roles: owner
create function import_finish() returns void
language plpgsql security definer set search_path from current set jit = off
as $$
declare
    lone record;
begin
    select e.child_id, e.parent_id into lone from edges e
    where not exists (select from jobs j where j.id = e.parent_id) or not exists (select from jobs j where j.id = e.child_id) limit 1;
    if found then
        perform invalid('lines', format('must be complete: job %s waits for job %s, and one of them is missing', lone.child_id, lone.parent_id));
    end if;
    select j.id, j.dag_id into lone from jobs j where j.dag_id is not null and not exists (select from jobs d where d.id = j.dag_id) limit 1;
    if found then
        perform invalid('lines', format('must be complete: job %s is a node of DAG %s, which is missing', lone.id, lone.dag_id));
    end if;
    -- Whose heads were not among what was exported: the chores find the next ones.
    insert into sequences (key)
    select distinct w.sequence from waiting w
    where w.sequence is not null and not exists (select from sequences s where s.key = w.sequence);
    select u.parent_id into lone from frontier u where not exists (select from jobs j where j.id = u.parent_id) limit 1;
    if found then
        perform invalid('lines', format('must be complete: job %s is missing', lone.parent_id));
    end if;
end
$$;
comment on function import_finish is 'Refuses an import of which parts are missing.';
