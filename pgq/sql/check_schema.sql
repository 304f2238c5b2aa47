-- check_schema(schema): raises 55000 where others than the owner of a schema may put objects into it, or have: functions that have the owner's rights look for
-- functions there, and of these one with exactly the types of the arguments is preferred to those of PostgreSQL. And where the schema
-- is public, which is everybody's. Internal: apply_grants; looks for names in pg_catalog only. Migrations ask the same before they begin (rights.go).
create function check_schema(schema name) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    s constant pg_namespace := (select n from pg_namespace n where n.nspname = check_schema.schema);
    others text;
    foreigner record;
begin
    if s.nspname = 'public' then
        raise exception using
            errcode = '55000', message = 'schema public is everybody''s; PGQ needs one of its own', hint = 'pgq-admin migrate up --schema pgq';
    end if;
    select string_agg(distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end, ', ') into others
    from aclexplode(s.nspacl) a
    where a.privilege_type = 'CREATE' and a.grantee <> s.nspowner;
    if others is not null then
        raise exception using
            errcode = '55000',
            message = format('others than its owner may create objects in schema %I: %s', s.nspname, others),
            detail = format('Who can do that can act with the rights of the owner, %s.', s.nspowner::regrole),
            hint = format('revoke create on schema %I from %s;', s.nspname, others);
    end if;
    select o.* into foreigner
    from (select oid, 'pg_proc'::regclass as class, oid::regprocedure::text as name, proowner as owner from pg_proc where pronamespace = s.oid
          union all select oid, 'pg_operator'::regclass, oid::regoperator::text, oprowner from pg_operator where oprnamespace = s.oid
          union all select oid, 'pg_class'::regclass, oid::regclass::text, relowner from pg_class where relnamespace = s.oid) o
    where o.owner <> s.nspowner
      and not exists (select from pg_depend d where d.classid = o.class and d.objid = o.oid and d.deptype = 'e')
    order by o.name limit 1;
    if found then
        raise exception using
            errcode = '55000',
            message = format('schema %I belongs to %s, and %s in it to %s', s.nspname, s.nspowner::regrole, foreigner.name, foreigner.owner::regrole),
            detail = 'Functions of PGQ have the rights of their owner, which who owns something in the schema can get.',
            hint = format('alter schema %I owner to %s; or see the finding owners_differ of pgq-admin doctor', s.nspname, foreigner.owner::regrole);
    end if;
end
$$;
comment on function check_schema is 'Refuses a schema that is not its owner''s alone.';
