package pgq_test

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestEveryObjectOfTheSchemaHasAComment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rows, err := w.pool.Query(t.Context(), `
		with objects (class, oid, part, name) as (
			select 'pg_namespace', oid, 0, 'schema ' || nspname from pg_namespace where nspname = 'pgq'
			union all
			select 'pg_proc', oid, 0, 'function ' || proname from pg_proc where pronamespace = 'pgq'::regnamespace
			union all
			select 'pg_class', oid, 0, case relkind when 'r' then 'table' when 'v' then 'view' when 'i' then 'index' when 'S' then 'sequence' else relkind::text end || ' ' || relname
			from pg_class where relnamespace = 'pgq'::regnamespace
			union all
			select 'pg_class', c.oid, a.attnum, 'column ' || c.relname || '.' || a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
			where c.relnamespace = 'pgq'::regnamespace and c.relkind in ('r', 'v', 'm', 'p', 'c') and a.attnum > 0 and not a.attisdropped
			union all -- of not null PostgreSQL 18 makes constraints
			select 'pg_constraint', oid, 0, 'constraint ' || conname from pg_constraint where connamespace = 'pgq'::regnamespace and contype <> 'n'
			union all -- but for those that come with tables and other types
			select 'pg_type', oid, 0, 'type ' || typname from pg_type t
			where typnamespace = 'pgq'::regnamespace and typelem = 0 and not exists (select from pg_class c where c.reltype = t.oid and c.relkind <> 'c')
			union all
			select 'pg_trigger', t.oid, 0, 'trigger ' || tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace = 'pgq'::regnamespace and not tgisinternal
			union all
			select 'pg_statistic_ext', oid, 0, 'statistics ' || stxname from pg_statistic_ext where stxnamespace = 'pgq'::regnamespace)
		select name from objects o
		where not exists (select from pg_description d where d.classoid = o.class::regclass and d.objoid = o.oid and d.objsubid = o.part and btrim(d.description) <> '')
		order by 1`)
	must(t, err)
	bare, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	for _, object := range bare {
		t.Errorf("%s has no comment: say in SQL what it is (comment on …)", object)
	}
}

// The views are a contract: a column may be added at the end (and here), but none may be renamed, moved, retyped or removed.
func TestTheColumnsOfTheViewsAreAContract(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := one[string](t, w.pool, `
		select string_agg(format('%s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod)), E'\n'
		                  order by c.relname collate "C", a.attnum)
		from pg_class c join pg_attribute a on a.attrelid = c.oid
		where c.relnamespace = 'pgq'::regnamespace and c.relkind in ('v', 'm') and a.attnum > 0 and not a.attisdropped`)
	content, err := os.ReadFile("testdata/views.txt")
	must(t, err)
	promised, real := strings.Split(strings.TrimSpace(string(content)), "\n"), strings.Split(got, "\n")
	for _, column := range promised {
		if !slices.Contains(real, column) {
			t.Errorf("testdata/views.txt promises %s, which is not there", column)
		}
	}
	for _, column := range real {
		if !slices.Contains(promised, column) {
			t.Errorf("%s is not in testdata/views.txt", column)
		}
	}
	if !t.Failed() && !slices.Equal(promised, real) {
		t.Errorf("the columns are in another order than in testdata/views.txt:\n%s", got)
	}
}

func TestTheSQLSTATEsInDocsSQLAndGoAreTheSame(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("sql/*.sql")
	must(t, err)
	raised := codes(t, regexp.MustCompile(`errcode = '(PQ\w{3})'`), files...)
	known := codes(t, regexp.MustCompile(`case "(PQ\w{3})"`), "errors.go")
	listed := codes(t, regexp.MustCompile("(?m)^\\| `(PQ\\w{3})` \\|"), "../docs/sql.md")
	if len(raised) < 5 {
		t.Fatalf("SQL raises %v only", raised)
	}
	if !slices.Equal(raised, known) {
		t.Errorf("SQL raises %v, errors.go knows %v", raised, known)
	}
	if !slices.Equal(raised, listed) {
		t.Errorf("SQL raises %v, docs/sql.md lists %v", raised, listed)
	}
}

// codes returns what the expression finds in files, each once, in order.
func codes(t *testing.T, expression *regexp.Regexp, files ...string) []string {
	t.Helper()
	var found []string
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(t, err)
		for _, m := range expression.FindAllStringSubmatch(string(content), -1) {
			found = append(found, m[1])
		}
	}
	slices.SortFunc(found, cmp.Compare[string])
	return slices.Compact(found)
}

func TestVerbsAreTheFunctionsThatRolesMayCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	granted := one[string](t, w.pool, `select coalesce(string_agg(distinct r.object, ','), '') from pgq.rights r join pg_proc p on p.proname = r.object and p.pronamespace = 'pgq'::regnamespace
		where r.object <> all(array(select name from pgq.verbs)) and r.object not in ('enqueue_one', 'enqueue_reserve', 'set_schedule_json')`)
	vague := one[string](t, w.pool, "select coalesce(string_agg(name, ','), '') from pgq.verbs where meaning is null or arguments is null or classes is null or cardinality(classes) = 0")
	if granted != "" || vague != "" {
		t.Errorf("granted and not in verbs: %s; without meaning or classes: %s", granted, vague)
	}
	row := one[string](t, w.pool, "select concat_ws(' | ', name, arguments, result, classes, left(meaning, 12)) from pgq.verbs where name = 'pause_queue'")
	if row != "pause_queue | name text, reason text DEFAULT NULL::text, actor text DEFAULT NULL::text | boolean | {operator} | Keeps jobs o" {
		t.Error(row)
	}
	if inner := one[bool](t, w.pool, "select exists (select from pgq.verbs where name in ('invalid', 'check_limit'))"); inner {
		t.Error("internal functions are shown")
	}
}
