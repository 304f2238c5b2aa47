-- explain_in_line(id, key, chase): for what a job waits that is in the line of a sequence. Internal: explain_waiting. Counts up to 10,000
-- jobs ahead of it. chase: whether to say why the head of the sequence does not run.
create function explain_in_line(id bigint, key text, chase boolean) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    sequence record;
    ahead bigint;
begin
    select s.* into sequence from sequence_states s where s.key = explain_in_line.key;
    ahead := (select count(*) from (
        select from waiting w where w.sequence = explain_in_line.key and w.job_id < explain_in_line.id order by w.job_id desc limit 10000) w)
        + (sequence.job_id is not null)::integer;
    return query select 'sequence',
        format('%s of its sequence %s %s to end before it', case when ahead >= 10000 then '10000 jobs or more' when ahead = 1 then 'one job' else ahead || ' jobs' end,
               to_json(explain_in_line.key), case when ahead = 1 then 'has' else 'have' end), explain_in_line.id;
    if sequence.state = 'stopped' then
        return query select 'sequence stopped',
            format('job %s failed at %s%s: retry it, or let the sequence go on without it (resume_sequence)', sequence.job_id,
                   explain_time(sequence.stopped_at), (select ' (' || f.error || ')' from results f where f.job_id = sequence.job_id)), sequence.job_id;
    elsif sequence.state = 'skipping' then
        return query select 'sequence stopped',
            format('job %s failed, and those behind it are being skipped', sequence.cause_id), sequence.cause_id;
    elsif sequence.state = 'active' then
        return query select 'head',
            format('job %s is %s%s', h.id, h.state, case
                when h.state = 'running' then format(' for %s (attempt %s)', explain_age(statement_timestamp() - h.claimed_at), h.attempt)
                when h.state = 'scheduled' then format(' until %s', explain_time(h.run_at))
                else format(', added %s ago', explain_age(statement_timestamp() - h.created_at)) end), h.id
            from job_states h where h.id = sequence.job_id;
        if chase then
            return query select 'blocked', format('job %s: %s: %s', sequence.job_id, e.reason, e.detail), sequence.job_id
                from (select * from explain_one(sequence.job_id, false) limit 1) e where e.reason <> 'running';
        end if;
    else
        return query select 'handing over', 'the job before it has ended; the next one is looked for', explain_in_line.id;
    end if;
end
$$;
comment on function explain_in_line is 'For what a job waits that is in line.';
