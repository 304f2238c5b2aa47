-- sees_payloads(): whether the caller may see args and results of all jobs: owners, operators, workers, and readers to whom
-- that was granted. Views ask it once per query. Locks nothing.
-- roles: producer, worker, operator, reader
create function sees_payloads() returns boolean
language sql stable security definer set search_path from current
as $$
    select is_owner(caller()) or exists (
        select from grants g
        where (g.class in ('operator', 'worker') or g.class = 'reader' and g.tenant = '*' and g.payloads)
          and pg_has_role(caller(), g.role_id, 'usage'))
$$;
comment on function sees_payloads is 'Whether the caller may see args and results.';
