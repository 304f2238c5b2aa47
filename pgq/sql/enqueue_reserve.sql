-- enqueue_reserve(queue_names, counts): prepares a bulk enqueue by COPY: refuses to overfill queues (PQ002), and
-- draws as many job ids as counts add up to: first_id and those after it, or, when others drew some in between, the
-- rising ids. Also the time from which delays count, and whether somebody wants the events of the jobs. The caller
-- then copies into jobs, ready, scheduled and expiries in the same transaction and ends with announce.
-- Null at: the caller is no owner of the schema, has no right to do that and uses enqueue_many. Internal: the Go client's EnqueueMany.
-- roles: producer
create function enqueue_reserve(
    queue_names text[], counts bigint[],
    out first_id bigint, out ids bigint[], out at timestamptz, out loud boolean
)
language plpgsql security definer set search_path from current
as $$
begin
    if not is_owner(caller()) then
        return;
    end if;
    perform check_depth(u.name, u.adding, s.max_depth, s.warn_depth)
    from unnest(queue_names, counts) u(name, adding), settings_of(u.name) s
    where s.max_depth is not null;
    ids := array(select nextval('jobs_id_seq')
                 from generate_series(1, (select sum(n) from unnest(counts) n)));
    first_id := ids[1];
    if ids[cardinality(ids)] - first_id + 1 = cardinality(ids) then
        ids := null;
    end if;
    at := now();
    loud := events_wanted();
end
$$;
comment on function enqueue_reserve is 'Prepares a bulk enqueue by COPY.';
