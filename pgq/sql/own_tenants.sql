-- own_tenants(with_payloads): the tenants whose jobs the caller may read, or those of which it may see payloads, too. Null: of
-- nobody in particular. Locks nothing.
-- roles: tenant
create function own_tenants(with_payloads boolean default false) returns text[]
language sql stable security definer set search_path from current
as $$
    select array_agg(distinct g.tenant)
    from grants g
    where g.class = 'reader'
      and g.tenant <> '*'
      and (g.payloads or not with_payloads)
      and pg_has_role(caller(), g.role_id, 'usage')
$$;
comment on function own_tenants is 'Tenants whose jobs the caller may read.';
