-- apply_grants(role_ids): makes the rights on functions and views what grants and rights say, for these database roles (null: for
-- all of grants): PUBLIC has none, nor has anybody on tables. The last step of the migration of the functions, and to be called
-- after a restore. Roles that are gone are forgotten. Rights that were given to other roles by hand are left alone, but for that to create objects
-- in the schema: with it, or with objects of others in the schema, nothing is done and 55000 is raised (check_schema).
-- Locks: what GRANT locks.
-- roles: owner
create function apply_grants(role_ids oid[] default null) returns void
language plpgsql set search_path from current
as $$
declare
    schema text;
    target record;
begin
    perform check_schema(current_schema()); -- before any other function is called, which might be somebody else's
    schema := quote_ident(current_schema());
    delete from grants g where not exists (select from pg_roles r where r.oid = g.role_id);
    delete from producers p where not exists (select from pg_roles r where r.oid = p.role_id);
    execute format('revoke all on schema %s from public', schema);
    execute format('revoke all on all functions in schema %s from public', schema);
    execute format('revoke all on all tables in schema %s from public', schema);
    execute format('revoke all on all sequences in schema %s from public', schema);
    for target in
        select r.id, r.id::regrole as name, array_agg(distinct c.class) filter (where c.class is not null) as classes
        from unnest(coalesce(role_ids, array(select distinct g.role_id from grants g))) r(id)
        left join grants g on g.role_id = r.id
        left join lateral unnest(case
            when g.class = 'reader' and g.tenant <> '*' then array['tenant']
            when g.payloads then array['reader', 'payloads']
            else array[g.class] end) c(class) on true
        group by r.id
    loop
        execute format('revoke all on schema %s from %s', schema, target.name);
        execute format('revoke all on all functions in schema %s from %s', schema, target.name);
        execute format('revoke all on all tables in schema %s from %s', schema, target.name);
        execute format('revoke all on all sequences in schema %s from %s', schema, target.name);
        if target.classes is not null then
            execute format('grant usage on schema %s to %s', schema, target.name);
            execute format('grant select on schema_migrations to %s', target.name);
            execute (
                select string_agg(
                    case when p.oid is null then format('grant select on %I to %s;', r.object, target.name)
                         else format('grant execute on function %s to %s;', p.oid::regprocedure, target.name) end, ' ')
                from (select distinct object from rights where class = any(target.classes)) r
                left join pg_proc p on p.proname = r.object and p.pronamespace = quote_ident(current_schema())::regnamespace);
        end if;
    end loop;
end
$$;
comment on function apply_grants is 'Makes the rights on functions and views what grants and rights say.';
