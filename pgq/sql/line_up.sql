-- line_up(job_ids, attempts): puts jobs back into their sequences that are to run again: where another one is at it they wait in line, by their
-- age. Internal: retry and start_nodes, which took them from where they were. Returns those that may run now: the heads, and those that had stopped their sequence.
-- Locks: what take_sequences locks, and the rows of sequences that go on.
create function line_up(job_ids bigint[], attempts integer[]) returns bigint[]
language plpgsql
as $$
#variable_conflict use_column
declare
    keys constant text[] := array(
        select j.sequence from unnest(job_ids) with ordinality u(id, place)
        left join lateral (select sequence from jobs where jobs.id = u.id offset 0) j on true order by u.place);
    heads bigint[] := take_sequences(keys, job_ids);
begin
    with again as (
        update sequences s set stopped_at = null where s.job_id = any(job_ids) and s.stopped_at is not null returning s.job_id
    )
    select heads || coalesce(array_agg(job_id), '{}') into heads from again;
    insert into waiting (job_id, queue, pending, attempt, need_ok, need_failed, max_failed, max_skipped, sequence)
    select j.id, j.queue, 1, u.attempt, 0, 0, 0, 0, j.sequence
    from unnest(job_ids, attempts) u(id, attempt)
    cross join lateral (select id, queue, sequence from jobs where jobs.id = u.id offset 0) j
    where j.id <> all(heads) and j.sequence is not null
    order by j.id;
    return heads;
end
$$;
comment on function line_up is 'Puts jobs back into their sequences.';
