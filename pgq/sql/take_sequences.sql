-- take_sequences(keys, job_ids): lets new jobs into the sequences with these keys, by place (null: in none), until the transaction ends, and returns
-- those that are the heads of them: the first ones of sequences that had no unfinished job. All others are to wait in line, in the order
-- of their ids. Internal: enqueue_jobs, line_up, and the Go client's EnqueueMany for owners.
--
-- Those that add jobs to a sequence share its row and do not wait for each other. Only who begins a sequence makes others wait, who would begin it, too, until it
-- has committed or not. Whoever ends the head deletes the row of a sequence in which nobody waits, but only when nobody shares it (next_in_line): those that
-- come then find it gone and begin the sequence anew.
-- Locks: rows of sequences by key: those that are there shared (for key share).
-- roles: owner
create function take_sequences(keys text[], job_ids bigint[]) returns bigint[]
language plpgsql set search_path from current
set jit = off set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off set enable_bitmapscan = off
as $$
declare
    mine record;
    begun bigint[];
    heads bigint[] := '{}';
    n integer := 0;
begin
    select array_agg(f.key order by f.key) as keys, array_agg(f.id order by f.key) as ids
    into mine
    from (select key collate "C" as key, min(id) as id from unnest(keys, job_ids) u(key, id) where key is not null group by 1) f;
    if mine.keys is null then
        return heads;
    end if;
    for round in 1 .. 100 loop
        with added as (
            insert into sequences (key, job_id)
            select f.key, f.id from unnest(mine.keys, mine.ids) f(key, id) order by f.key collate "C"
            on conflict do nothing
            returning job_id
        )
        select coalesce(array_agg(job_id), '{}') into begun from added;
        heads := heads || begun;
        exit when cardinality(heads) = cardinality(mine.keys);
        perform s.key from sequences s where s.key = any(mine.keys) order by s.key for key share;
        get diagnostics n = row_count;
        exit when n = cardinality(mine.keys);
    end loop;
    if n < cardinality(mine.keys) and cardinality(heads) < cardinality(mine.keys) then
        perform too_busy(job_ids);
    end if;
    if cardinality(heads) < cardinality(mine.keys) and exists (select from sequences s where s.key = any(mine.keys) and s.job_id is null) then
        perform wake_chores();
    end if;
    return heads;
end
$$;
comment on function take_sequences is 'Lets new jobs into sequences; returns the heads among them.';
