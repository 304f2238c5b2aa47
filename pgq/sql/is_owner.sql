-- is_owner(who): whether a database role may do everything here: a superuser, the owner of the schema, or a member of it.
-- False for null. Internal: to be called by SECURITY DEFINER functions, in which current_user is the owner.
create function is_owner(who oid) returns boolean
language sql stable
as $$ select coalesce(pg_has_role(who, current_user, 'usage'), false) $$;
comment on function is_owner is 'Whether a database role may do everything.';
