package migrations_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/pgq/migrations/source"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func one[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func up(t *testing.T, url, schema string) {
	t.Helper()
	if err := migrations.Up(t.Context(), url, migrations.Options{Schema: schema}); err != nil {
		t.Fatal(err)
	}
}

// objects describes all that a schema holds, to compare.
const objects = `select string_agg(o, e'\n' order by o) from (
	select format('%s %s', c.relkind, c.relname) as o from pg_class c where c.relnamespace = $1::regnamespace
	union all select format('%s %s', p.oid::regprocedure, md5(p.prosrc)) from pg_proc p where p.pronamespace = $1::regnamespace
	union all select format('%s %s', conname, pg_get_constraintdef(oid)) from pg_constraint where connamespace = $1::regnamespace) x`

func TestTenCallersMigrateTogether(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if err := migrations.Up(t.Context(), url, migrations.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	conn := connect(t, url)
	if err := pgq.New(pgq.Config{}).CheckVersion(t.Context(), conn); err != nil {
		t.Error(err)
	}
	if n := one[int](t, conn, "select count(*) from pgq.schema_migrations where version_id > 0"); n != pgq.SchemaVersion {
		t.Errorf("%d migrations are noted", n)
	}
}

func TestUpDownUp(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	ctx, o := t.Context(), migrations.Options{}
	conn := connect(t, url)
	if _, err := migrations.Status(ctx, url, o); !errors.Is(err, migrations.ErrNotInstalled) {
		t.Error("status of nothing:", err)
	}
	if err := migrations.Down(ctx, url, o); !errors.Is(err, migrations.ErrNotInstalled) {
		t.Error("down from nothing:", err)
	}
	up(t, url, "")
	first := one[string](t, conn, objects, "pgq")
	status, err := migrations.Status(ctx, url, o)
	if err != nil || len(status) != pgq.SchemaVersion {
		t.Fatalf("%+v %v", status, err)
	}
	for i, s := range status {
		if s.Version != int64(i+1) || s.At.IsZero() || s.Name == "" {
			t.Errorf("%+v", s)
		}
	}
	if _, err := conn.Exec(ctx, "select pgq.enqueue('a')"); err != nil {
		t.Error(err)
	}
	up(t, url, "") // once more changes nothing
	if n := one[int](t, conn, "select count(*) from pgq.jobs"); n != 1 {
		t.Errorf("there are %d jobs", n)
	}
	if err := migrations.Down(ctx, url, o); err != nil {
		t.Fatal(err)
	}
	if one[bool](t, conn, "select exists (select from pg_namespace where nspname = 'pgq')") {
		t.Error("the schema is still there")
	}
	up(t, url, "")
	if again := one[string](t, conn, objects, "pgq"); again != first {
		t.Errorf("up-down-up made\n%s\nof\n%s", again, first)
	}
}

func TestDownLeavesWhatIsOfOthers(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), "create table pgq.theirs ()"); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Down(t.Context(), url, migrations.Options{}); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, conn, "select count(*) from pg_class where relnamespace = 'pgq'::regnamespace"); n != 1 {
		t.Errorf("%d objects are left", n)
	}
	if err := migrations.Up(t.Context(), url, migrations.Options{}); !errors.Is(err, migrations.ErrForeignSchema) {
		t.Error("up beside what is of others:", err)
	}
}

func TestSchemasSideBySideDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := connect(t, url)
	names := []string{"one", "other", `Quo"ted`, "with-dash and space", strings.Repeat("x", 52), "select"}
	for i, name := range names {
		up(t, url, name)
		q := pgq.New(pgq.Config{Schema: name})
		if err := q.CheckVersion(t.Context(), conn); err != nil {
			t.Error(name, err)
		}
		for range i + 1 {
			if _, err := q.EnqueueMany(t.Context(), conn, jobs(300)); err != nil {
				t.Fatal(name, err)
			}
		}
	}
	seen := map[int64]bool{}
	for i, name := range names {
		q := pgq.New(pgq.Config{Schema: name})
		counts, err := q.Counts(t.Context(), conn)
		if err != nil || len(counts) != 1 || counts[0].Jobs != int64(300*(i+1)) {
			t.Error(name, counts, err)
		}
		keys, err := q.SleepGate(t.Context(), conn, "default")
		if err != nil || seen[keys[0]] {
			t.Error(name, keys, err)
		}
		seen[keys[0]] = true
		quoted := pgx.Identifier{name}.Sanitize()
		if _, err := conn.Exec(t.Context(), "select pg_notify("+quoted+".channel(), 'x'), pg_notify("+quoted+".event_channel(), 'x')"); err != nil {
			t.Error(name, err)
		}
		worker, err := q.Register(t.Context(), conn, pgq.Registration{Name: "w", Queues: []string{"default"}})
		if err == nil {
			t.Error("a worker without a lease was registered as", worker)
		}
		if broken, err := q.Check(t.Context(), conn); err != nil || len(broken) > 0 {
			t.Error(name, broken, err)
		}
	}
	if err := migrations.Down(t.Context(), url, migrations.Options{Schema: `Quo"ted`}); err != nil {
		t.Error(err)
	}
	if err := pgq.New(pgq.Config{Schema: "one"}).CheckVersion(t.Context(), conn); err != nil {
		t.Error(err)
	}
}

type job struct{}

func (job) Kind() string { return "job" }

func jobs(n int) []pgq.Item {
	items := make([]pgq.Item, n)
	for i := range items {
		items[i].Args = job{}
	}
	return items
}

func TestSchemasThatCannotBeUsedAreRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := connect(t, url)
	for _, foreign := range []string{
		"create schema a; create table a.x ()", "create schema b; create function b.x() returns int language sql as 'select 1'",
		"create schema c; create type c.x as enum ('a')", "create schema d; create sequence d.x",
	} {
		if _, err := conn.Exec(t.Context(), foreign); err != nil {
			t.Fatal(err)
		}
		name := foreign[14:15]
		before := one[*string](t, conn, objects, name)
		if err := migrations.Up(t.Context(), url, migrations.Options{Schema: name}); !errors.Is(err, migrations.ErrForeignSchema) || !strings.Contains(err.Error(), "x") {
			t.Error(foreign, err)
		}
		if after := one[*string](t, conn, objects, name); (after == nil) != (before == nil) || after != nil && *after != *before {
			t.Errorf("after %s something changed", foreign)
		}
	}
	for _, name := range []string{strings.Repeat("x", 53), "pg_mine", "pg_catalog", "public", "information_schema", strings.Repeat("ä", 27)} {
		if err := migrations.Up(t.Context(), url, migrations.Options{Schema: name}); !errors.Is(err, migrations.ErrSchemaName) {
			t.Error(name, err)
		}
	}
	if _, err := conn.Exec(t.Context(), "create schema empty"); err != nil {
		t.Fatal(err)
	}
	up(t, url, "empty")
}

func TestADatabaseThatCannotBeReachedIsAnError(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"postgres://127.0.0.1:1/x?connect_timeout=2", "not a url \x00"} {
		if err := migrations.Up(t.Context(), url, migrations.Options{}); err == nil || !strings.HasPrefix(err.Error(), "migrations: ") {
			t.Error(url, err)
		}
	}
}

func TestTheMigrationIsGeneratedFromTheSources(t *testing.T) {
	t.Parallel()
	want, err := source.Migration(os.DirFS("../sql"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := fs.ReadFile(migrations.Files, "00002_functions.sql")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("00002_functions.sql is not what pgq/sql makes: run make migrations")
	}
}

func TestAMigratedDatabaseHoldsExactlyTheSources(t *testing.T) {
	t.Parallel()
	conn := connect(t, pgtest.Database(t))
	files, err := fs.Glob(os.DirFS("../sql"), "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	body := regexp.MustCompile(`(?s)\nas \$\$(.*)\$\$;`)
	for _, file := range files {
		name := strings.TrimSuffix(file, ".sql")
		text, err := os.ReadFile("../sql/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\ncreate view ") {
			if !one[bool](t, conn, "select to_regclass('pgq.' || $1) is not null", name) {
				t.Errorf("there is no view %s", name)
			}
			continue
		}
		found := body.FindStringSubmatch(string(text))
		if found == nil {
			t.Errorf("%s has no body", file)
			continue
		}
		var installed string
		err = conn.QueryRow(t.Context(), "select prosrc from pg_proc where pronamespace = 'pgq'::regnamespace and proname = $1", name).Scan(&installed)
		if err != nil || installed != found[1] {
			t.Errorf("function %s is not that of %s: %v", name, file, err)
		}
		if one[string](t, conn, "select coalesce(obj_description(oid), '') from pg_proc where pronamespace = 'pgq'::regnamespace and proname = $1", name) == "" {
			t.Errorf("function %s has no comment", name)
		}
	}
	n := one[int](t, conn, `select (select count(*) from pg_proc where pronamespace = 'pgq'::regnamespace)
		+ (select count(*) from pg_class where relnamespace = 'pgq'::regnamespace and relkind = 'v')`)
	if n != len(files) {
		t.Errorf("there are %d functions and views, and %d files", n, len(files))
	}
}

func TestTheVersionIsThatOfTheLastMigration(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil || len(files) != pgq.SchemaVersion {
		t.Errorf("%v: the library says %d", files, pgq.SchemaVersion)
	}
}

func TestDownLeavesASchemaThatUpDidNotCreate(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := connect(t, url)
	there := func(schema string) bool {
		return one[bool](t, conn, "select to_regnamespace($1) is not null", schema)
	}
	for schema, given := range map[string]string{
		"theirs": "create schema theirs", "dumped": "create schema dumped; comment on schema dumped is 'of the shop'",
	} {
		mustExec(t, conn, given)
		if schema == "dumped" {
			if err := apply(t, conn, dump(t, 0, schema)); err != nil {
				t.Fatal(err)
			}
		}
		up(t, url, schema)
		if err := migrations.Down(t.Context(), url, migrations.Options{Schema: schema}); err != nil || !there(schema) {
			t.Errorf("schema %s is there: %t, %v", schema, there(schema), err)
		}
	}
	up(t, url, "ours")
	mustExec(t, conn, "create collation ours.theirs (locale = 'C')")
	if err := migrations.Down(t.Context(), url, migrations.Options{Schema: "ours"}); err != nil || !there("ours") {
		t.Errorf("schema ours is there: %t, %v", there("ours"), err)
	}
	for _, schema := range []string{"ours 2", awkward} {
		if schema == awkward {
			if err := apply(t, conn, dump(t, 0, schema)); err != nil {
				t.Fatal(err)
			}
		}
		up(t, url, schema)
		if err := migrations.Down(t.Context(), url, migrations.Options{Schema: schema}); err != nil {
			t.Error(err)
		}
		if one[bool](t, conn, "select exists (select from pg_namespace where nspname = $1)", schema) {
			t.Errorf("schema %s is still there", schema)
		}
	}
}

func TestARoleThatMayNotUseTheSchemaIsToldSo(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	conn := connect(t, url)
	role := "stranger_" + one[string](t, conn, "select oid::text from pg_database where datname = current_database()")
	mustExec(t, conn, "create role "+role+" login")
	t.Cleanup(func() { mustExec(t, conn, "drop role "+role) })
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	url += separator + "options=-c%20role%3D" + role
	if _, err := migrations.Status(t.Context(), url, migrations.Options{}); !errors.Is(err, migrations.ErrPermission) || !strings.Contains(err.Error(), "may not use schema pgq") {
		t.Error(err)
	}
	if err := migrations.Up(t.Context(), url, migrations.Options{}); !errors.Is(err, migrations.ErrPermission) {
		t.Error(err)
	}
	if _, err := migrations.Plan(t.Context(), url, migrations.Latest(), migrations.Options{}); !errors.Is(err, migrations.ErrPermission) {
		t.Error(err)
	}
}
