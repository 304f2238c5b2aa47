package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// rightsProblem is a query for what keeps the current role from migrating a schema, and what to do about it; no row: nothing. Functions of PGQ
// have the rights of who makes them and look for names in the schema, where one with exactly the types of the arguments is preferred to that of
// PostgreSQL. So whoever can put something there has these rights. It is asked with pg_catalog as search path, before anything in the schema
// is touched; at their end migrations ask once more (check_schema.sql).
const rightsProblem = `
		select problem, repair
		from (select n.oid, pg_catalog.quote_ident(n.nspname::text) as name, n.nspowner, n.nspacl, n.nspowner::regrole as owner,
		             pg_catalog.quote_ident(current_user::text)::regrole as migrator
		      from pg_namespace n where n.nspname = %s) s
		cross join lateral (
		    select 1 as place, format('schema %%s belongs to %%s, and what %%s creates in it would belong to %%s', s.name, s.owner, s.migrator, s.migrator) as problem,
		           format('migrate as %%s (set role), or: alter schema %%s owner to %%s;', s.owner, s.name, s.migrator) as repair
		    where s.nspowner <> s.migrator::oid
		    union all
		    select 2, format('others than its owner may create objects in schema %%s: %%s', s.name, o.others),
		           format('revoke create on schema %%s from %%s;', s.name, o.others)
		    from (select string_agg(distinct case a.grantee when 0 then 'public' else a.grantee::regrole::text end, ', ') as others
		          from aclexplode(s.nspacl) a where a.privilege_type = 'CREATE' and a.grantee <> s.nspowner) o
		    where o.others is not null
		    union all
		    (select 3, format('%%s in schema %%s belongs to %%s, and not to %%s, as the schema', o.name, s.name, o.owner::regrole, s.owner),
		            'drop it or give it to the owner of the schema; pgq-admin doctor has the statements (owners_differ)'
		     from (select oid, 'pg_proc'::regclass as class, oid::regprocedure::text as name, proowner as owner from pg_proc where pronamespace = s.oid
		           union all select oid, 'pg_operator'::regclass, oid::regoperator::text, oprowner from pg_operator where oprnamespace = s.oid
		           union all select oid, 'pg_class'::regclass, oid::regclass::text, relowner from pg_class where relnamespace = s.oid) o
		     where o.owner <> s.nspowner
		       and not exists (select from pg_depend d where d.classid = o.class and d.objid = o.oid and d.deptype = 'e')
		     order by 2 limit 1)) p
		order by place limit 1`

// checkRights returns ErrSchemaRights where the schema is there and is not the current role's alone. look: connections without the schema in their search path.
func checkRights(ctx context.Context, look *sql.DB, schema string) error {
	var problem, repair string
	err := look.QueryRowContext(ctx, fmt.Sprintf(rightsProblem, "$1"), schema).Scan(&problem, &repair)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	} else if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s: %s", ErrSchemaRights, problem, repair)
}

// dumpRights is checkRights in a dump.
const dumpRights = `set local search_path = pg_catalog, pg_temp;
do $pgq_dump$
declare
    found record;
begin
    select * into found from (%s) p;
    if found.problem is not null then
        raise exception '%%', found.problem using hint = found.repair, detail = 'Who can create objects in the schema could act with the rights of the role that migrates.';
    end if;
end
$pgq_dump$;
`

// checkRightsSQL returns the statements that check the rights on a schema.
func checkRightsSQL(schema string) string {
	literal := "E'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, `$`, `\x24`).Replace(schema) + "'"
	return fmt.Sprintf(dumpRights, fmt.Sprintf(rightsProblem, literal))
}
