-- claim_turns(worker_id, queue_name, wanted, kinds, worst, at, loud): claims jobs of a queue that wait for their turn, as claim does with those that are ready.
-- Internal: claim. Their seq is 0, since no cursor is to move on for them.
create function claim_turns(worker_id bigint, queue_name text, wanted integer, kinds text[], worst smallint, at timestamptz, loud boolean)
returns table (
    job_id bigint, queue text, kind text, priority smallint, seq bigint, attempt integer, max_attempts integer,
    timeout interval, created_at timestamptz, tags text[], metadata jsonb, codec text, payload bytea, args jsonb,
    dag_id bigint, sequence text)
language plpgsql
as $$
#variable_conflict use_column
declare
    settings record;
    dealt record;
    got integer;
begin
    select * into dealt from deal(queue_name, wanted, claim_turns.kinds, worst, claim_turns.at);
    if dealt.job_ids is null then
        return;
    end if;
    select * into settings from settings_of(queue_name);
    return query
        with claimed as materialized (
            select u.attempt, u.slotted, u.place, j.*
            from unnest(dealt.job_ids, dealt.attempts, dealt.counted) with ordinality u(id, attempt, slotted, place)
            cross join lateral (
                select * from jobs
                where jobs.id = u.id and not (u.attempt = 1 and coalesce(expires_at <= now(), false)) offset 0) j
        ), leased as (
            insert into running (job_id, queue, attempt, worker_id, claimed_at, result_ttl, dag_id, callbacks, slotted)
            select id, queue, attempt, claim_turns.worker_id, dealt.at, result_ttl, dag_id, nullif(spec ? 'callbacks', false), nullif(slotted, false)
            from claimed
        )
        select id, queue, kind, priority, 0::bigint, attempt, coalesce(max_attempts, settings.max_attempts),
               coalesce(timeout, settings.timeout), created_at, tags, metadata, codec, payload, args, dag_id, sequence
        from claimed order by place;
    get diagnostics got = row_count;
    if got < cardinality(dealt.job_ids) then
        perform free_slots(array(select id from unnest(dealt.job_ids) id where not exists (select from running r where r.job_id = id offset 0)));
    end if;
    if loud or got < cardinality(dealt.job_ids) then
        perform claim_aside(claim_turns.worker_id, dealt.job_ids, null, array_fill(1, array[cardinality(dealt.job_ids)]),
            array(select n - 1 from unnest(dealt.attempts) n), null, null, dealt.at, loud);
    end if;
end
$$;
comment on function claim_turns is 'Claims jobs that wait for their turn.';
