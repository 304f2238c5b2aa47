-- enqueue_reserve(queue_names, counts): prepares a bulk enqueue by COPY: refuses to overfill queues (PQ002), and
-- returns as many new job ids, rising, as counts add up to, and the time from which delays count. The caller then
-- copies into jobs, ready, scheduled and expiries in the same transaction and ends with announce. Null ids: the
-- caller has no right to do that and uses enqueue_many. Internal: the Go client's EnqueueMany.
create function enqueue_reserve(queue_names text[], counts bigint[], out ids bigint[], out at timestamptz)
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
end
$$;
comment on function enqueue_reserve is 'Prepares a bulk enqueue by COPY.';
