-- explain_limits(queue_name, kind, group_name): pauses, limits and circuit breakers that let no job of these start now. Internal: explain_turn and explain_ready.
create function explain_limits(queue_name text, kind text, group_name text) returns table (reason text, detail text)
language sql stable
as $$
    with states as materialized (
        select l.*, format('%s %s', l.scope, l.name) as title
        from (values ('queue', queue_name), ('kind', explain_limits.kind), ('group', nullif(explain_limits.group_name, ''))) s(scope, name)
        cross join lateral limit_state(s.scope, s.name, 0) l
        where s.name is not null
    )
    select 'paused', format('%s is paused%s until %s%s', title, ' by ' || paused_by, explain_time(paused_until), ': ' || pause_reason)
    from states where paused_until > clock_timestamp()
    union all
    select 'breaker', format('the circuit breaker of %s is open until %s, when one job may run; it opens after %s failures within %s', title,
                             explain_time(probe_at), break_after, explain_age(break_within))
    from states where breaker = 'open'
    union all
    select 'breaker', format('the circuit breaker of %s is half-open: %s', title,
                             coalesce(format('job %s runs, and others when it has succeeded', probe_id), 'one job may run, and others when it has succeeded'))
    from states where breaker = 'half_open'
    union all
    select 'limit', format('%s of %s jobs of %s that may run at a time are running', running, max_running, title)
    from states where running >= max_running
    union all
    select 'rate', format('%s jobs of %s may start per %s; the next one may in %s', rate, title, explain_age(period),
                          explain_age(make_interval(secs => (1 - tokens) / rate * extract(epoch from period)::float8)))
    from states where tokens < 1
$$;
comment on function explain_limits is 'What lets no job of a queue, a kind or a group start now.';
