-- rewait(job_ids, attempts): puts jobs into waiting, with the thresholds of their rules and what their parents came to so
-- far. Internal: the caller has taken the jobs from where they were, keeps their parents where they are (pin), and
-- judges the jobs afterwards. They are held if their DAG is. A map that was expanded goes on with its items.
create function rewait(job_ids bigint[], attempts integer[]) returns void
language plpgsql
as $$
#variable_conflict use_column
begin
    insert into waiting (job_id, queue, role, pending, held, attempt, need_ok, need_failed, max_failed, max_skipped, eager)
    select j.id, j.queue, case when m.job_id is null then j.role else 'items' end, p.parents, coalesce(d.held, false), u.attempt,
           t.need_ok, t.need_failed,
           case when m.job_id is null then t.max_failed
                else floor(m.total * coalesce((j.spec ->> 'tolerate')::numeric, 0) / 100) end,
           case when m.job_id is null then t.max_skipped else 2147483647 end,
           t.eager and j.role is distinct from 'map'
    from unnest(job_ids, attempts) u(id, attempt)
    cross join lateral (select id, queue, role, rule, spec, dag_id from jobs where jobs.id = u.id offset 0) j
    left join maps m on m.job_id = j.id
    cross join lateral (
        select count(*)::integer as parents, coalesce(bool_and(g.role = 'gate'), false) as only_gate
        from edges e cross join lateral (select role from jobs where jobs.id = e.parent_id offset 0) g
        where e.child_id = j.id) p
    cross join lateral rule_thresholds(
        case when j.role = 'dag' then 'done' when p.only_gate or m.job_id is not null then 'all' else j.rule end,
        p.parents, (j.spec ->> 'at_least')::integer) t
    left join lateral (select held from waiting w where w.job_id = j.dag_id) d on true;
    perform recount(job_ids);
end
$$;
comment on function rewait is 'Puts jobs into waiting again.';
