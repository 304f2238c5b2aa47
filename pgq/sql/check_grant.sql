-- check_grant(class, role_name): the id of a database role to which a class may be granted. Raises PQ001 when the class or the
-- role is none, 42501 unless the caller owns the schema. Internal: grant_role and revoke_role.
create function check_grant(class text, role_name text) returns oid
language plpgsql stable
as $$
declare
    owner constant oid := (select relowner from pg_class where oid = 'grants'::regclass);
    who constant oid := (select r.oid from pg_roles r where r.rolname = role_name);
begin
    if class is null or class not in ('producer', 'worker', 'operator', 'reader', 'owner') then
        perform invalid('class', 'must be producer, worker, operator, reader or owner');
    elsif who is null then
        perform invalid('role_name', format('must name an existing role of the database; %s does not exist', to_json(coalesce(role_name, ''))));
    elsif who = owner then
        perform invalid('role_name', format('must not be %s, which owns the schema', to_json(role_name)));
    elsif not pg_has_role(owner, 'usage') then
        raise exception using
            errcode = '42501',
            message = format('permission denied: only %s, which owns schema %s, can grant and revoke', owner::regrole, to_json(current_schema()));
    end if;
    return who;
end
$$;
comment on function check_grant is 'The id of a role to which a class may be granted.';
