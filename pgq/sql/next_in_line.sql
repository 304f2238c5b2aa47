-- next_in_line(keys): gives these sequences, whose heads have ended, their next ones: the first that waits becomes ready, or scheduled until
-- its time. Those that are to be skipped are skipped before, 1,000 at most. A sequence without anybody in line is deleted. Internal:
-- the caller has locked the rows. Returns how much it could do: 0 is nothing.
--
-- It never waits. A sequence is left without a head, and the chores look again (fill_sequences), where somebody has the row of the next one
-- locked, has more to skip, or where somebody who may be adding the next one has not committed. That one sees the row of the sequence and does
-- not begin it anew, so the row must not go.
-- Locks: rows of waiting by job and of sequences by key, skipping those that others have locked.
create function next_in_line(keys text[]) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
    ready_keys text[];
    handed text[] := '{}'; -- those that have a head now
    line record;
    got bigint[];
    lone text[];
    done integer := skip_in_line(keys);
begin
    ready_keys := array(select s.key from sequences s where s.key = any(keys) and s.skip_to is null);
    for round in 1 .. 2 loop
        exit when ready_keys = '{}';
        select array_agg(w.job_id order by w.job_id) filter (where w.job_id is not null) as firsts,
               array_agg(k.key order by k.key) filter (where w.job_id is null) as empty
        into line
        from unnest(ready_keys) k(key)
        left join lateral (select job_id from waiting where sequence = k.key order by job_id limit 1) w on true;
        got := array(select w.job_id from waiting w where w.job_id = any(line.firsts) and w.sequence is not null order by w.job_id for update skip locked);
        if got <> '{}' then
            with heads as materialized (
                select w.sequence as key, w.job_id from waiting w where w.job_id = any(got)
            ), told as (
                update sequences s set job_id = (select h.job_id from heads h where h.key = s.key), stopped_at = null
                where s.key = any(array(select key from heads))
                returning s.key
            )
            select handed || array_agg(key) into handed from told;
            perform start_nodes(got);
            done := done + cardinality(got);
        end if;
        -- Nobody shares what could be locked, and nobody will before this has ended: what is in line now is all there is.
        lone := array(select s.key from sequences s where s.key = any(line.empty) order by s.key for update skip locked);
        with gone as (
            delete from sequences s
            where s.key = any(lone) and not exists (select from waiting w where w.sequence = s.key)
            returning s.key
        )
        select done + count(*)::integer, array(select unnest(lone) except select key from gone)
        into done, ready_keys
        from gone;
    end loop;
    update sequences s set job_id = null, stopped_at = null
    where s.key = any(keys) and s.key <> all(handed) and s.job_id is not null;
    if exists (select from sequences s where s.key = any(keys) and s.job_id is null) then
        perform wake_chores();
    end if;
    return done;
end
$$;
comment on function next_in_line is 'Gives sequences their next heads.';
