package migrations

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// What a Difference is.
const (
	Missing = "missing" // this version creates it, and it is not there
	Changed = "changed" // it is there, with another definition
	Unknown = "unknown" // it is there, and this version does not create it
)

// Difference is an object in the schema that is not as this version creates it.
type Difference struct {
	// Kind is table, column, constraint, index, options (of a table: fillfactor, autovacuum_…), statistics, sequence,
	// type, trigger, function or view.
	Kind string
	// Name is that of the object in the schema: "jobs", "jobs.args", "claim(bigint)".
	Name string
	// What is Missing, Changed or Unknown.
	What string
	// Want and Have are the definitions; empty where there is none.
	Want, Have string
	// Repair is SQL that makes it as it should be, for psql. Empty for functions and views, for which DumpFunctions has it,
	// and where there is no way that loses nothing.
	Repair string
}

// Drift compares the objects of a schema that is at the latest version with what the migrations create on this server. For that it
// runs them in another schema and takes that back: nobody else ever sees it, and nothing is locked but what it creates.
// It needs the right to create a schema (SQLSTATE 42501) and a server that can be written to (25006).
func Drift(ctx context.Context, databaseURL string, o Options) ([]Difference, error) {
	if err := o.checkSchema(); err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	nameApplication(config)
	config.RuntimeParams["client_encoding"] = "UTF8"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("migrations: connect: %w", err)
	}
	opened := connections{all: []*pgx.Conn{conn}}
	defer opened.wait()
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is left to be written
	have, err := objectsOf(ctx, conn, o.schema())
	if err != nil {
		return nil, fmt.Errorf("migrations: schema %s: %w", o.schema(), err)
	}
	want, err := o.fresh(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("migrations: compare schema %s: %w", o.schema(), err)
	}
	return o.differences(want, have), nil
}

// fresh returns what the migrations create, and takes it back.
func (o Options) fresh(ctx context.Context, conn *pgx.Conn) (map[objectKey]object, error) {
	schema := "pgq_compare_" + strings.ToLower(rand.Text()[:12])
	quoted := pgx.Identifier{schema}.Sanitize()
	files, err := fs.Glob(Files, "*.sql")
	if err != nil {
		return nil, err
	}
	sql := "begin; create schema " + quoted + "; set local search_path = " + quoted + ", pg_temp;"
	for _, file := range files {
		up, err := o.up(file)
		if err != nil {
			return nil, err
		}
		sql += "\n" + up
	}
	_, err = conn.PgConn().Exec(ctx, sql).ReadAll()
	var objects map[objectKey]object
	if err == nil {
		objects, err = objectsOf(ctx, conn, schema)
	}
	_, undone := conn.PgConn().Exec(context.WithoutCancel(ctx), "rollback").ReadAll()
	return objects, errors.Join(err, undone)
}

type objectKey struct{ kind, name string }

// object is what the catalogs say of one object, without the name of the schema.
type object struct {
	definition string // that is compared
	create     string // a statement that makes it, if there is one
	drop       string // and one that removes it
}

// objectsOf returns all objects of a schema but the table of the versions.
func objectsOf(ctx context.Context, conn *pgx.Conn, schema string) (map[objectKey]object, error) {
	path := pgx.Identifier{schema}.Sanitize() + ", pg_temp"
	if _, err := conn.Exec(ctx, "select set_config('search_path', $1, false)", path); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, catalogs)
	if err != nil {
		return nil, err
	}
	objects := map[objectKey]object{}
	var key objectKey
	var o object
	_, err = pgx.ForEachRow(rows, []any{&key.kind, &key.name, &o.definition, &o.create, &o.drop}, func() error {
		objects[key] = o
		return nil
	})
	return objects, err
}

// differences compares; what belongs to a table that is missing or unknown is not told besides.
func (o Options) differences(want, have map[objectKey]object) []Difference {
	path := "set search_path = " + pgx.Identifier{o.schema()}.Sanitize() + ", pg_temp; "
	var all []Difference
	add := func(key objectKey, what string, wanted, had object, repair string) {
		if repair != "" {
			repair = path + repair
		}
		all = append(all, Difference{key.kind, key.name, what, wanted.definition, had.definition, repair})
	}
	inTable := func(key objectKey, of map[objectKey]object) bool {
		table, _, part := strings.Cut(key.name, ".")
		_, there := of[objectKey{"table", table}]
		return !part || key.kind == "function" || key.kind == "type" || there
	}
	for key, wanted := range want {
		had, there := have[key]
		switch {
		case !there && inTable(key, have):
			add(key, Missing, wanted, had, wanted.create)
		case there && had.definition != wanted.definition:
			repair := ""
			if wanted.create != "" && key.kind != "column" { // which would lose what it holds
				repair = had.drop + wanted.create
			}
			add(key, Changed, wanted, had, repair)
		}
	}
	for key, had := range have {
		if _, known := want[key]; !known && inTable(key, want) {
			add(key, Unknown, object{}, had, strings.TrimSuffix(had.drop, " "))
		}
	}
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// catalogs lists the objects of the first schema of the search path. What PostgreSQL prints of them is without the
// schema's name then, so that those of two schemas can be compared.
const catalogs = `
with s as (
    select oid, quote_ident(nspname) as name, 'search_path=' || replace(nspname, '"', '') as path from pg_namespace where nspname = current_schema()
), t as (
    select c.*, quote_ident(c.relname) as quoted from pg_class c, s where c.relnamespace = s.oid and c.relname <> '` + versionTable + `'
)
select 'table', relname::text, relkind::text || relpersistence::text, '', '' from t where relkind in ('r', 'p')
union all
select 'options', relname || '.options', coalesce((select string_agg(o, ', ' order by o) from unnest(reloptions) o), ''),
       case when reloptions is null then '' else format('alter table %s set (%s);', quoted, (select string_agg(o, ', ' order by o) from unnest(reloptions) o)) end,
       case when reloptions is null then '' else format('alter table %s reset (%s); ', quoted, (select string_agg(split_part(o, '=', 1), ', ') from unnest(reloptions) o)) end
from t where relkind = 'r'
union all
select 'column', t.relname || '.' || a.attname, d.text,
       format('alter table %s add column %I %s;', t.quoted, a.attname, d.text), format('alter table %s drop column %I; ', t.quoted, a.attname)
from t
join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef e on e.adrelid = t.oid and e.adnum = a.attnum
left join pg_collation l on l.oid = a.attcollation and l.collname <> 'default'
cross join lateral (
    select concat_ws(' ', format_type(a.atttypid, a.atttypmod), 'collate ' || quote_ident(l.collname), case when a.attnotnull then 'not null' end,
                     case a.attidentity when 'a' then 'generated always as identity' when 'd' then 'generated by default as identity' end,
                     case when a.attgenerated = '' then 'default ' || pg_get_expr(e.adbin, e.adrelid)
                          else format('generated always as (%s) stored', pg_get_expr(e.adbin, e.adrelid)) end) as text) d
where t.relkind = 'r'
union all
select 'constraint', t.relname || '.' || c.conname, pg_get_constraintdef(c.oid, true),
       format('alter table %s add constraint %I %s;', t.quoted, c.conname, pg_get_constraintdef(c.oid, true)),
       format('alter table %s drop constraint %I; ', t.quoted, c.conname)
from t join pg_constraint c on c.conrelid = t.oid where c.contype <> 'n'
union all
select 'index', t.relname || '.' || x.relname, pg_get_indexdef(i.indexrelid, 0, true),
       regexp_replace(pg_get_indexdef(i.indexrelid, 0, true), '^(CREATE (UNIQUE )?INDEX) ', '\1 CONCURRENTLY ') || ';',
       format('drop index concurrently %I; ', x.relname)
from t
join pg_index i on i.indrelid = t.oid
join pg_class x on x.oid = i.indexrelid
where not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.conrelid = t.oid)
union all
select 'statistics', x.stxname::text, d.text, d.text || ';', format('drop statistics %I; ', x.stxname)
from s join pg_statistic_ext x on x.stxnamespace = s.oid
cross join lateral (select replace(pg_get_statisticsobjdef(x.oid), 'CREATE STATISTICS ' || s.name || '.', 'CREATE STATISTICS ') as text) d
union all
select 'sequence', t.relname::text, concat_ws(' ', q.seqtypid::regtype, q.seqincrement, q.seqmin, q.seqmax, q.seqcycle), '', ''
from t join pg_sequence q on q.seqrelid = t.oid where t.relname <> '` + versionTable + `_id_seq'
union all
select 'trigger', t.relname || '.' || g.tgname, pg_get_triggerdef(g.oid, true), '', format('drop trigger %I on %s; ', g.tgname, t.quoted)
from t join pg_trigger g on g.tgrelid = t.oid where not g.tgisinternal
union all
select 'type', y.typname::text, y.typtype::text || coalesce((
           select string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
           from pg_attribute a where a.attrelid = y.typrelid and not a.attisdropped), ''), '', format('drop type %I; ', y.typname)
from s join pg_type y on y.typnamespace = s.oid
where y.typtype in ('d', 'e', 'r') or y.typtype = 'c' and exists (select from pg_class c where c.oid = y.typrelid and c.relkind = 'c')
union all
select 'function', f.name, concat_ws(e'\n', pg_get_function_result(p.oid), pg_get_function_arguments(p.oid), l.lanname, p.prokind, p.provolatile,
           p.prosecdef, p.proisstrict, p.proleakproof, p.proparallel, p.procost, p.prorows, (
               select string_agg(case when starts_with(replace(c, '"', ''), s.path) then '@' || substr(replace(c, '"', ''), length(s.path) + 1) else c end,
                                 ', ' order by c) from unnest(p.proconfig) c),
           p.prosrc), '', format('drop routine %s; ', f.name)
from s
join pg_proc p on p.pronamespace = s.oid
join pg_language l on l.oid = p.prolang
cross join lateral (select format('%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid)) as name) f
union all
select 'view', relname::text, coalesce((select string_agg(o, ', ') from unnest(reloptions) o) || e'\n', '') || pg_get_viewdef(oid), '', format('drop view %s; ', quoted)
from t where relkind in ('v', 'm')`
