-- advance_sequences(job_ids): lets the sequences go on of which these jobs were the heads. Internal: the caller has just ended or deleted the
-- jobs in this transaction, in a statement before. A head that failed for good stops its sequence, or lets those behind it be
-- skipped, if its on_failure says so; every other end passes the turn to the next in line (next_in_line).
-- Locks: rows of sequences by key, then what next_in_line locks.
create function advance_sequences(job_ids bigint[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    ended record;
begin
    perform s.key from sequences s where s.job_id = any(job_ids) order by s.key for no key update;
    select array_agg(e.key) filter (where e.outcome = 'stop') as stopping, array_agg(e.key) filter (where e.outcome = 'skip') as skipping,
           array_agg(e.key order by e.key) filter (where e.outcome <> 'stop') as going_on
    into ended
    from (
        select s.key, case when f.state = 'failed' then coalesce(j.on_failure, 'stop') else 'continue' end as outcome
        from (select key, job_id from sequences where job_id = any(job_ids) offset 0) s
        left join lateral (select state from results where results.job_id = s.job_id offset 0) f on true
        left join lateral (select on_failure from jobs where jobs.id = s.job_id offset 0) j on true) e;
    if ended.stopping is not null then
        update sequences s set stopped_at = clock_timestamp() where s.key = any(ended.stopping);
        perform record_event('sequence_stopped', j.id, j.queue, null, null, jsonb_build_object('sequence', j.sequence))
        from jobs j where j.id = any(array(select s.job_id from sequences s where s.key = any(ended.stopping)));
    end if;
    if ended.skipping is not null then
        update sequences s set job_id = null, cause_id = s.job_id, skip_to = (
            select w.job_id from waiting w where w.sequence = s.key order by w.job_id desc limit 1)
        where s.key = any(ended.skipping)
          and exists (select from waiting w where w.sequence = s.key);
    end if;
    if ended.going_on is not null then
        perform next_in_line(ended.going_on);
    end if;
end
$$;
comment on function advance_sequences is 'Lets sequences go on whose heads have ended.';
