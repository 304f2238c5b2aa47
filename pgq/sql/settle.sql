-- settle(job_ids, queue_names, attempts, new_state, reason, cause_id, quiet, more): writes how jobs ended that never ran again
-- after their last place (waiting, ready or scheduled) was taken from them by the caller in the same transaction, and
-- tells their children and the sequences of which they were the heads; unless quiet it enqueues their callbacks. more: what else the events say. Internal: cancel, expire, delete and skip_in_line.
create function settle(job_ids bigint[], queue_names text[], attempts integer[], new_state text, reason text,
                       cause_id bigint default null, quiet boolean default false, more jsonb default '{}')
returns void
language plpgsql
as $$
begin
    insert into results (job_id, queue, state, attempt, expires_at, error, dag_id, cause_id)
    select u.id, u.queue, new_state, u.attempt, now() + j.result_ttl, reason, j.dag_id, settle.cause_id
    from unnest(job_ids, queue_names, attempts) u(id, queue, attempt)
    cross join lateral (select * from jobs where jobs.id = u.id offset 0) j
    order by u.id;
    perform record_event(new_state, u.id, u.queue, u.attempt, null, jsonb_strip_nulls(jsonb_build_object('error', reason, 'cause', settle.cause_id) || more))
    from unnest(job_ids, queue_names, attempts) u(id, queue, attempt);
    if not quiet and new_state <> 'skipped' then
        perform call_back(job_ids, 'on_failure')
        where exists (select from jobs j where j.id = any(job_ids) and j.spec ? 'callbacks');
    end if;
    if exists (select from edges e where e.parent_id = any(job_ids)) then
        perform doom_dags(job_ids);
        perform propagate(job_ids);
    end if;
    if exists (select from sequences s where s.job_id = any(job_ids)) then
        perform advance_sequences(job_ids);
    end if;
end
$$;
comment on function settle is 'Writes how jobs ended that were waiting.';
