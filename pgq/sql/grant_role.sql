-- grant_role(class, role_name, queues, payloads, tenants): lets a database role do what its class may. Classes add up:
--
--   producer  enqueues jobs and DAGs into the queues named (null: into all), and sees what it enqueued (own_jobs)
--   worker    claims, finishes, heartbeats, does chores; DAGs from within handlers
--   operator  looks at everything, payloads included, and steers: cancel, retry, delete, pause, set_queue, dag_...
--   reader    looks at everything but args and results, at these, too, with payloads; or only at jobs of the tenants named (tenant_jobs)
--   owner     is a member of the role that owns the schema: may do everything, migrate and grant included
--
--   select pgq.grant_role('producer', 'shop', queues => '{mail}');
--
-- Granting again adds queues, tenants, payloads. Nobody gets rights on tables. Which function and view is for whom stands in
-- the table rights. Raises PQ001 when an argument breaks a rule, 42501 for those who do not own the schema, and for class
-- owner also for those who do, unless they may change who is a member of that role (change_owners).
-- Locks: the table grants against other grants and revokes.
-- roles: owner
create function grant_role(
    class text, role_name text, queues text[] default null, payloads boolean default false, tenants text[] default null)
returns void
language plpgsql set search_path from current
as $$
#variable_conflict use_column
declare
    who constant oid := check_grant(class, role_name);
    owner constant regrole := (select relowner from pg_class where oid = 'grants'::regclass);
begin
    if queues is not null and class <> 'producer' then
        perform invalid('queues', 'must be null unless the class is producer: what others do is by job, not by queue');
    elsif tenants is not null and class <> 'reader' then
        perform invalid('tenants', 'must be null unless the class is reader; give each tenant a schema where more is wanted');
    elsif payloads and class <> 'reader' then
        perform invalid('payloads', 'must be false unless the class is reader');
    elsif queues = '{}' or exists (select from unnest(queues) q where q is null or length(q) not between 1 and 128) then
        perform invalid('queues', 'must be names of 1 to 128 characters');
    elsif tenants = '{}' or exists (select from unnest(tenants) t where t is null or length(t) not between 1 and 128 or t = '*') then
        perform invalid('tenants', 'must be names of 1 to 128 characters other than *');
    elsif class = 'owner' and (select rolsuper from pg_roles where oid = owner) then
        perform invalid('class', format('must not be owner here: the schema belongs to the superuser %s; give it to a role of its own', owner));
    elsif class = 'owner' then
        perform change_owners(who, true);
        return;
    end if;
    lock table grants in share row exclusive mode;
    insert into producers (role_id) select who where grant_role.class = 'producer' on conflict do nothing;
    insert into grants (role_id, class, queue, tenant, payloads)
    select who, grant_role.class, queue, tenant, coalesce(grant_role.payloads, false)
    from unnest(coalesce(queues, '{*}')) queue, unnest(coalesce(tenants, '{*}')) tenant
    on conflict (role_id, class, queue, tenant) do update set payloads = grants.payloads or excluded.payloads;
    perform apply_grants(array[who]);
end
$$;
comment on function grant_role is 'Lets a database role do what a class may.';
