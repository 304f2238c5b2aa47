-- keep_waited(job_ids): lets the DAG or sub-DAG of each parent that has not ended wait for that parent itself, because nodes
-- that did (job_ids) are about to be ended before their time: a DAG never ends while something of it is alive.
-- Internal: cancel and expire. Locks: what pin locks, then rows of waiting of DAGs.
create function keep_waited(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    parents bigint[] := array(
        select distinct e.parent_id
        from edges e
        join jobs c on c.id = e.child_id and c.dag_id is not null
        join jobs p on p.id = e.parent_id and p.dag_id = c.dag_id
        where e.child_id = any(job_ids)
          -- DAGs and maps under way stay when the others are ended.
          and (e.parent_id <> all(job_ids)
               or exists (select from waiting w where w.job_id = e.parent_id and w.role in ('dag', 'items') offset 0))
          and not exists (select from results f where f.job_id = e.parent_id));
begin
    if parents = '{}' then
        return;
    end if;
    perform pin(parents);
    with added as (
        insert into edges (parent_id, child_id, soft)
        select p.id, sink_of(p.id), true
        from unnest(parents) p(id)
        where not exists (select from results f where f.job_id = p.id)
        on conflict do nothing
        returning child_id
    )
    update waiting w set pending = w.pending + a.n
    from (select child_id, count(*)::integer as n from added group by child_id) a
    where w.job_id = a.child_id;
end
$$;
comment on function keep_waited is 'Lets DAGs wait for parents that nobody else waits for any more.';
