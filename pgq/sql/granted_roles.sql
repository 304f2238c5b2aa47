-- granted_roles: which database role may do what: a row per role and class, with the queues of a producer and the tenants of a
-- reader (null: all). Members of a role have what it has. Owners of the schema are listed as class owner, superusers not at all.
-- A stable contract for SELECT. Locks nothing.
-- roles: operator, reader
create view granted_roles as
select r.rolname::text as role,
       g.class,
       case when bool_or(g.queue = '*') then null else array_agg(distinct g.queue order by g.queue) end as queues,
       case when bool_or(g.tenant = '*') then null else array_agg(distinct g.tenant order by g.tenant) end as tenants,
       bool_or(g.payloads) as payloads,
       min(g.granted_by) as granted_by,
       min(g.granted_at) as granted_at
from grants g
join pg_roles r on r.oid = g.role_id
group by r.rolname, g.class
union all
select r.rolname::text, 'owner', null, null, true, null, null
from pg_class c
join pg_roles r on r.oid = c.relowner or r.oid in (select m.member from pg_auth_members m where m.roleid = c.relowner)
where c.oid = 'grants'::regclass;
comment on view granted_roles is 'Which database role may do what.';
comment on column granted_roles.role is 'The database role.';
comment on column granted_roles.class is 'What it may do: producer, worker, operator or reader.';
comment on column granted_roles.queues is 'In which queues.';
comment on column granted_roles.tenants is 'Of which tenants.';
comment on column granted_roles.payloads is 'Whether it sees what jobs are about.';
comment on column granted_roles.granted_by is 'Who granted it.';
comment on column granted_roles.granted_at is 'When.';
