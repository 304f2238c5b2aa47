-- apply_verb(verb, job_ids, queue, run_at, priority, reason, actor): calls the verb for jobs by id. Internal: change_jobs.
create function apply_verb(verb text, job_ids bigint[], queue text, run_at timestamptz, priority integer, reason text, actor text)
returns table (job_id bigint, outcome text)
language plpgsql
as $$
begin
    case verb
        when 'cancel' then return query select * from cancel(job_ids, reason, actor);
        when 'retry' then return query select * from retry(job_ids, reason, actor);
        when 'delete' then return query select * from delete(job_ids, reason, actor);
        when 'move' then return query select * from move(job_ids, queue, reason, actor);
        when 'reschedule' then return query select * from reschedule(job_ids, run_at, null, reason, actor);
        when 'set_priority' then return query select * from set_priority(job_ids, priority, reason, actor);
    end case;
end
$$;
comment on function apply_verb is 'Calls a verb for jobs by id.';
