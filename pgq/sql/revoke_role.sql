-- revoke_role(class, role_name, queues, tenants, payloads): takes a class back from a database role, or of a producer only some
-- queues, of a reader only some tenants or (payloads) the sight of args and results. Returns whether it had any of that.
-- Sessions that are open lose the right at their next statement.
-- Raises PQ001 when an argument breaks a rule, 42501 as grant_role does.
-- Locks: the table grants against other grants and revokes.
-- roles: owner
create function revoke_role(
    class text, role_name text, queues text[] default null, tenants text[] default null, payloads boolean default false)
returns boolean
language plpgsql set search_path from current
as $$
#variable_conflict use_column
declare
    who constant oid := check_grant(class, role_name);
    had boolean;
begin
    if queues is not null and class <> 'producer' then
        perform invalid('queues', 'must be null unless the class is producer');
    elsif tenants is not null and class <> 'reader' then
        perform invalid('tenants', 'must be null unless the class is reader');
    elsif payloads and class <> 'reader' then
        perform invalid('payloads', 'must be false unless the class is reader');
    elsif class = 'owner' then
        return change_owners(who, false);
    end if;
    lock table grants in share row exclusive mode;
    if exists (select from grants g where g.role_id = who and g.class = 'producer' and g.queue = '*')
       and queues <> '{*}' then
        perform invalid('queues', 'must be null: the role may enqueue into all queues, of which none can be excepted');
    elsif payloads then
        update grants g set payloads = false
        where g.role_id = who and g.class = revoke_role.class and g.payloads and (tenants is null or g.tenant = any(tenants));
    else
        delete from grants g
        where g.role_id = who
          and g.class = revoke_role.class
          and (queues is null or g.queue = any(queues))
          and (tenants is null or g.tenant = any(tenants));
    end if;
    had := found;
    perform apply_grants(array[who]);
    return had;
end
$$;
comment on function revoke_role is 'Takes a class back from a database role.';
