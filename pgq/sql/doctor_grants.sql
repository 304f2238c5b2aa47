-- doctor_grants(): rights on tables, views, sequences and functions of roles that neither own the schema nor were granted a class, and rights on tables and sequences,
-- which no class gives, of those that were. Internal: doctor.
create function doctor_grants()
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
as $$
    with s as (
        select n.oid, n.nspname::text as name, n.nspowner from pg_namespace n where n.nspname = current_schema()
    ), held as (
        select c.relname::text as object, c.relkind in ('r', 'S', 'p') as is_data, c.relowner as owner, a.grantee, a.privilege_type as right
        from s join pg_class c on c.relnamespace = s.oid cross join lateral aclexplode(c.relacl) a
        where c.relkind in ('r', 'p', 'v', 'm', 'S')
        union all
        select c.relname, c.relkind in ('r', 'p'), c.relowner, a.grantee, a.privilege_type
        from s join pg_class c on c.relnamespace = s.oid join pg_attribute t on t.attrelid = c.oid and t.attacl is not null
        cross join lateral aclexplode(t.attacl) a
        where c.relkind in ('r', 'p', 'v', 'm')
        union all
        select p.proname, false, p.proowner, a.grantee, a.privilege_type
        from s join pg_proc p on p.pronamespace = s.oid cross join lateral aclexplode(p.proacl) a
    ), by_hand as (
        select h.grantee::regrole::text as role, g.granted, count(distinct h.object) as objects, min(h.object) as first,
               string_agg(distinct lower(h.right), ', ') as rights, bool_or(h.right = 'TRIGGER') as is_code
        from held h
        cross join s
        cross join lateral (select exists (select from grants g where g.role_id = h.grantee) as granted) g
        where h.grantee not in (0, h.owner, s.nspowner)
          and case when g.granted then h.is_data and not (h.object = 'schema_migrations' and h.right = 'SELECT') else true end
        group by h.grantee, g.granted
    )
    select 'rights_by_hand', case when b.is_code then 'critical' else 'warning' end, 'role ' || b.role,
           format('It has rights that no class gave to it, by hand or by default privileges (\ddp in psql): %s on %s objects (%s ...), past PGQ''s verbs.%s',
                  b.rights, b.objects, b.first, case when b.is_code then ' Its triggers on tables would act with the rights of the owner.' else '' end),
           case when b.granted then format('select %I.apply_grants();', s.name)
                else format('revoke all on all tables in schema %1$I from %2$s; revoke all on all sequences in schema %1$I from %2$s; revoke all on all functions in schema %1$I from %2$s;',
                            s.name, b.role) end
    from by_hand b cross join s
$$;
comment on function doctor_grants is 'Findings on rights that no class gave.';
