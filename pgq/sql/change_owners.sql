-- change_owners(who, begins): makes a database role a member of the one that owns the schema, or makes it none; returns whether it was a member. Raises
-- 42501 for those who may not: PostgreSQL lets superusers do that, and roles that were given the admin option, but not the owner itself.
-- Internal: grant_role and revoke_role.
create function change_owners(who oid, begins boolean) returns boolean
language plpgsql
as $$
declare
    owner constant regrole := (select relowner from pg_class where oid = 'grants'::regclass);
    had constant boolean := exists (select from pg_auth_members m where m.roleid = owner and m.member = who);
    change constant text := format(case when begins then 'grant %s to %s' else 'revoke %s from %s' end, owner, who::regrole);
begin
    execute change;
    return had;
exception when insufficient_privilege then
    raise exception using
        errcode = '42501',
        message = format('permission denied: %s may not change who is a member of %s', current_user, owner),
        detail = sqlerrm,
        hint = format('As a superuser, or as a role with admin option on %s: %s;', owner, change);
end
$$;
comment on function change_owners is 'Makes a role an owner of the schema, or none.';
