-- put_turns(job_ids, seqs, attempts, sinces): lets jobs wait for their turn; sinces: when they became ready, null: when they were created.
-- Internal: the caller has just taken them from where they were, or added them.
create function put_turns(job_ids bigint[], seqs bigint[], attempts integer[], sinces timestamptz[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    put record;
begin
    with added as (
        insert into waiting (job_id, queue, role, pending, need_ok, need_failed, max_failed, max_skipped, attempt, group_name, kind, priority, seq, since)
        select j.id, j.queue, 'turn', 1, 0, 0, 0, 0, u.attempt, coalesce(j.group_name, ''), j.kind, j.priority, u.seq, u.since
        from unnest(job_ids, seqs, attempts, sinces) u(id, seq, attempt, since)
        cross join lateral (select id, queue, group_name, kind, priority from jobs where jobs.id = u.id offset 0) j
        returning queue, group_name, kind, priority
    )
    select array_agg(queue) as queues, array_agg(group_name) as groups, array_agg(kind) as kinds,
           array_agg(priority) as priorities
    into put
    from (select distinct queue, group_name, kind, priority from added) a;
    perform add_backlogs(put.queues, put.groups, put.kinds, put.priorities);
end
$$;
comment on function put_turns is 'Lets jobs wait for their turn.';
