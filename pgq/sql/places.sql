-- places(job_ids): where jobs are, all in one snapshot, so that each is in exactly one place:
-- a state of job_states, or not_found; ready is also one that waits for its turn. Internal: the operators' verbs look, act, and look again at what moved.
create function places(job_ids bigint[]) returns table (job_id bigint, place text)
language plpgsql stable
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
begin
    return query
        select u.id, case when t.job_id is not null then 'ready' else coalesce(s.state, 'not_found') end
        from (select distinct id from unnest(job_ids) id where id is not null) u
        left join lateral (select j.state from job_states j where j.id = u.id offset 0) s on true
        left join lateral (select w.job_id from waiting w where w.job_id = u.id and w.role = 'turn' and s.state = 'waiting' offset 0) t on true
        order by u.id;
end
$$;
comment on function places is 'Where jobs are, in one snapshot.';
