-- recount(job_ids): writes into waiting what the parents of these waiting jobs came to so far. Of maps under way these are their
-- items, those that do not exist yet included; an external node that was reached has none any more, nor has a job that waits for its turn.
-- Internal: the caller keeps the parents where they are (pin), or holds the rows of waiting and the chores' lock.
create function recount(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
    -- Row by row, without a join, for which the planner might walk all of waiting.
    update waiting w
    set (pending, ok, failed, skipped, cause_id) = (
        select (count(*) filter (where o.outcome is null and e.child_id is not null))::integer
                   + case when w.role = 'items' then (select m.total - m.expanded from maps m where m.job_id = w.job_id) else 0 end,
               (count(*) filter (where o.outcome = 'ok'))::integer,
               (count(*) filter (where o.outcome = 'failed'))::integer,
               (count(*) filter (where o.outcome = 'skipped'))::integer,
               min(coalesce(f.cause_id, f.job_id)) filter (where o.outcome = 'failed')
        from (select * from edges
              where edges.child_id = w.job_id
                and (w.role is distinct from 'items' or is_item(edges.parent_id, w.job_id))
              offset 0) e
        left join lateral (
            select * from results r
            where r.job_id = e.parent_id
              and not exists (
                  select from frontier x where x.parent_id = e.parent_id and e.child_id between x.first_child and x.last_child)
            offset 0) f on true
        left join lateral (
            select edge_outcome(f.state, f.cause_id, f.output, e.soft, e.condition) as outcome where f.job_id is not null) o on true)
    where w.job_id = any(job_ids) and (w.role is null or w.role not in ('signal', 'turn'));
end
$$;
comment on function recount is 'Writes into waiting what parents came to so far.';
