-- enqueue_reserve(queue_names, counts, wake_workers): prepares a bulk enqueue by COPY: refuses to overfill
-- queues (PQ002), wakes workers at commit, and returns as many new job ids, rising, as counts add up to,
-- the time from which delays count, and whether the events of the jobs are wanted (announce). The caller then
-- copies into jobs, ready, scheduled and expiries in the same transaction. Null ids: the caller has no
-- right to do that and uses enqueue_many. Internal: the Go client's EnqueueMany.
create function enqueue_reserve(
    queue_names text[], counts bigint[], wake_workers boolean,
    out ids bigint[], out at timestamptz, out loud boolean
)
language plpgsql set search_path from current
as $$
begin
    if not (has_table_privilege('jobs', 'insert') and has_table_privilege('ready', 'insert')) then
        return;
    end if;
    perform check_depth(u.name, u.adding, s.max_depth, s.warn_depth)
    from unnest(queue_names, counts) u(name, adding), settings_of(u.name) s
    where s.max_depth is not null;
    ids := array(select nextval(pg_get_serial_sequence('jobs', 'id'))
                 from generate_series(1, (select sum(n) from unnest(counts) n)));
    at := now();
    loud := events_wanted();
    if wake_workers then
        perform wake(queue_names);
    end if;
end
$$;
comment on function enqueue_reserve is 'Prepares a bulk enqueue by COPY.';
