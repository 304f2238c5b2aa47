-- explain_waiting(id, chase): for what a job in waiting waits. Internal: explain. Names ten unfinished parents; with
-- chase it looks for what blocks the first three of those that wait themselves.
create function explain_waiting(id bigint, chase boolean) returns table (reason text, detail text, job_id bigint)
language plpgsql stable
as $$
#variable_conflict use_column
declare
    now constant timestamptz := statement_timestamp();
    node record;
    unfinished bigint[];
    parents bigint;
    parent record;
    blocked bigint[] := '{}';
    blocker bigint;
begin
    select w.*, j.dag_id, j.name, j.rule, j.spec, j.expires_at, j.role as kind_of, m.total, m.released,
           (select d.held from waiting d where d.job_id = coalesce(j.dag_id, j.id) and d.role = 'dag') as dag_held
    into node
    from waiting w
    join jobs j on j.id = w.job_id
    left join maps m on m.job_id = w.job_id
    where w.job_id = explain_waiting.id;
    if node.sequence is not null then
        return query select * from explain_in_line(node.job_id, node.sequence, chase);
        return;
    end if;
    if node.ending is not null then
        return query select 'ending',
            format('ends as %s as soon as nothing of it runs any more%s', node.ending, ': ' || node.reason), node.job_id;
    end if;
    if node.dag_held then
        return query select 'DAG held',
            'the DAG is held' || coalesce(' (' || (
                select e.data ->> 'reason'
                from (select id, data from events where job_id = coalesce(node.dag_id, node.job_id) and type = 'held' offset 0) e
                order by e.id desc limit 1) || ')', '') || ': dag_resume lets it go on', coalesce(node.dag_id, node.job_id);
    elsif node.held then
        return query select 'held', 'it is held: dag_resume lets it go on', node.job_id;
    end if;
    if node.role = 'turn' then
        return query select * from explain_turn(node.job_id);
        return;
    elsif node.role = 'signal' and node.kind_of = 'sleep' then
        return query select 'sleeping',
            format('sleeps until %s (%s)', explain_time(node.expires_at), explain_age(node.expires_at - now)), node.job_id;
        return;
    elsif node.role = 'signal' then
        return query select 'answer',
            'waits for an answer from outside (dag_complete or dag_fail)'
            || case when node.expires_at is null then ', without a limit' else
                   format(' until %s (%s), then %s', explain_time(node.expires_at), explain_age(node.expires_at - now),
                          case when node.spec -> 'default' is null then 'it fails' else 'it takes its default' end) end,
            node.job_id;
        return;
    elsif node.role = 'items' then
        return query select 'items',
            format('%s of %s items are done, %s of them failed; %s were started', node.total - node.pending, node.total,
                   node.failed, node.released), node.job_id;
    elsif node.spec ? 'map' and node.kind_of is null then
        return query select 'window',
            (select format('waits until other items of %s are done: at most %s may run at a time', j.name,
                           coalesce(j.spec ->> 'window', 'all')) from jobs j where j.id = (node.spec ->> 'map')::bigint),
            (node.spec ->> 'map')::bigint;
        return;
    end if;
    select array_agg(e.parent_id order by e.parent_id) filter (where f.job_id is null), count(*) into unfinished, parents
    from (select parent_id from edges where child_id = node.job_id offset 0) e
    left join lateral (select job_id from results where job_id = e.parent_id offset 0) f on true;
    if unfinished is null then
        return query select 'news', 'all it waits for has ended; it hears of it in a moment', node.job_id
            where not (node.held or coalesce(node.dag_held, false));
        return;
    elsif node.role is distinct from 'items' then
        return query select 'parents',
            format('%s of %s %s have not ended%s', cardinality(unfinished), parents,
                   case when node.kind_of = 'dag' then 'nodes that it waits for' else 'parents' end,
                   case when coalesce(node.rule, 'all') <> 'all'
                        then format('; rule %s: so far %s succeeded, %s failed, %s were skipped',
                                    replace(node.rule, 'at_least', 'at_least ' || node.need_ok), node.ok, node.failed, node.skipped)
                        else '' end),
            node.job_id;
    end if;
    for parent in
        select s.*, case when s.dag_id = node.dag_id or s.dag_id = node.job_id then s.name else 'job ' || s.id end as title,
               w.pending > 0 and not w.held and coalesce(w.role, '') not in ('signal', 'items', 'turn') as waits
        from unnest(unfinished[1:10]) u(id)
        cross join lateral (select * from job_states where id = u.id offset 0) s
        left join waiting w on w.job_id = u.id
        order by w.pending > 0 is true, s.id
    loop
        return query select 'parent',
            format('%s is %s%s', parent.title, parent.state, case
                when parent.state = 'running' then format(' for %s (attempt %s)', explain_age(now - parent.claimed_at), parent.attempt)
                when parent.state = 'scheduled' then format(' until %s', explain_time(parent.run_at))
                else format(', added %s ago', explain_age(now - parent.created_at)) end),
            parent.id;
        if cardinality(blocked) < 3 and parent.state <> 'running' and not (coalesce(node.role, '') = 'items' and parent.state = 'waiting') then
            blocked := blocked || parent.id;
        end if;
    end loop;
    if chase and node.dag_held is not true then
        return query
            select distinct on (d.deepest) 'blocked',
                   format('%s: %s: %s', case when j.dag_id = node.dag_id or j.dag_id = node.job_id then j.name else 'job ' || j.id end,
                          e.reason, e.detail), d.deepest
            from unnest(blocked) u(id)
            cross join lateral (select explain_deepest(u.id) as deepest) d
            join jobs j on j.id = d.deepest
            cross join lateral (select * from explain_one(d.deepest, false) limit 1) e
            order by d.deepest;
    end if;
end
$$;
comment on function explain_waiting is 'For what a job in waiting waits.';
