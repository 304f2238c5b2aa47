-- doctor_rights(): rights that everybody has, objects of somebody else, extensions in the schema. Internal: doctor.
create function doctor_rights()
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
as $$
    with s as (
        select n.oid, n.nspname::text as name, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)) as acl
        from pg_namespace n where n.nspname = current_schema()
    )
    select 'public_may_use_schema', case a.privilege_type when 'CREATE' then 'critical' else 'warning' end, 'schema ' || s.name,
           case a.privilege_type when 'CREATE' then 'Every role may create objects in it: functions that are put there are called with the rights of PGQ''s owner.'
                else 'Every role may use it, and call what everybody may execute.' end,
           format('revoke %s on schema %I from public;', a.privilege_type, s.name)
    from s, aclexplode(s.acl) a where a.grantee = 0
    union all
    select 'others_may_create', 'critical', 'role ' || a.grantee::regrole,
           format('It may create objects in the schema, and with them act with the rights of its owner, %s.', s.nspowner::regrole),
           format('revoke create on schema %I from %s;', s.name, a.grantee::regrole)
    from s, aclexplode(s.acl) a
    where a.grantee not in (0, s.nspowner) and a.privilege_type = 'CREATE'
    union all
    select 'public_may_touch_table', 'warning', c.relname::text,
           format('Every role that may use the schema may %s it, past PGQ''s verbs.', string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)),
           format('revoke all on %I.%I from public;', s.name, c.relname)
    from s
    join pg_class c on c.relnamespace = s.oid
    cross join lateral aclexplode(c.relacl) a
    where a.grantee = 0 and c.relkind in ('r', 'v', 'S')
    group by s.name, c.relname
    union all
    select 'owners_differ', 'critical', format('%s of %s', count(*), o.relowner::regrole),
           format('Objects of the schema do not belong to its owner, %s (%s ...): each of both can act with the rights of the other, and functions may lack rights.',
                  s.nspowner::regrole, min(o.name)),
           -- Of a role that could act as the schema's owner anyhow they are PGQ's, migrated as another role; of others they are not.
           case when not (select r.rolsuper or pg_has_role(r.oid, s.nspowner, 'usage') from pg_roles r where r.oid = o.relowner)
                then string_agg(format('drop %s;', o.what), ' ' order by o.name)
                when count(*) > 20 then format('alter schema %I owner to %s;', s.name, o.relowner::regrole)
                else string_agg(format('alter %s owner to %s;', o.what, s.nspowner::regrole), ' ' order by o.name) end
    from s
    cross join lateral (
        select c.relname::text as name, c.relowner, format('%s %I.%I', case c.relkind when 'v' then 'view' else 'table' end, s.name, c.relname) as what
        from pg_class c where c.relnamespace = s.oid and c.relkind in ('r', 'v')
        union all select p.proname, p.proowner, format('routine %I.%I(%s)', s.name, p.proname, pg_get_function_identity_arguments(p.oid)) from pg_proc p where p.pronamespace = s.oid) o
    where o.relowner <> s.nspowner
    group by s.name, s.nspowner, o.relowner
    union all
    select 'extension_in_schema', 'warning', 'extension ' || e.extname,
           'It was installed into the schema of PGQ; its functions may be taken for PGQ''s, and removing PGQ leaves the schema.',
           format('alter extension %I set schema public;', e.extname)
    from s join pg_extension e on e.extnamespace = s.oid
$$;
comment on function doctor_rights is 'Findings on rights and foreign objects.';
