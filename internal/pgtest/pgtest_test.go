package pgtest

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Main(m) }

func query[T any](t *testing.T, address, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func nameOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func exists(t *testing.T, database string) bool {
	t.Helper()
	return query[bool](t, get(t).server.URL, "select exists (select from pg_database where datname = $1)", database)
}

func TestEveryTestHasADatabaseOfItsOwnWithPGQInstalled(t *testing.T) {
	t.Parallel()
	one, other := Pool(t), Pool(t)
	for _, sql := range []string{"create table mine ()", "select count(*) from pgq.jobs"} {
		if _, err := one.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	var there bool
	if err := other.QueryRow(t.Context(), "select to_regclass('mine') is not null").Scan(&there); err != nil {
		t.Fatal(err)
	}
	if there {
		t.Error("two databases are the same")
	}
}

func TestAnEmptyDatabaseIsEmpty(t *testing.T) {
	t.Parallel()
	n := query[int](t, Empty(t), "select count(*) from pg_namespace where nspname = 'pgq'")
	if n != 0 {
		t.Error("there is a schema pgq")
	}
}

func TestTheDatabaseIsDroppedAfterTheTestEvenWithSessionsOnIt(t *testing.T) {
	t.Parallel()
	var name string
	var left *pgx.Conn
	t.Run("the test", func(t *testing.T) {
		address := Empty(t)
		name = nameOf(t, address)
		var err error
		if left, err = pgx.Connect(context.Background(), address); err != nil {
			t.Fatal(err)
		}
		if !exists(t, name) {
			t.Fatal("it is not there during the test")
		}
	})
	if exists(t, name) {
		t.Error("it is there after the test")
	}
	left.Close(t.Context())
}

func TestManyDatabasesAreMadeAtTheSameTime(t *testing.T) {
	t.Parallel()
	for range 12 {
		t.Run("one", func(t *testing.T) {
			t.Parallel()
			if _, err := Pool(t).Exec(t.Context(), "select 1"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestATemplateIsBuiltOnceAlthoughManyAskForIt(t *testing.T) {
	t.Parallel()
	server := get(t).server.URL
	var built atomic.Int32
	name := databaseName("template")
	t.Cleanup(func() { get(t).exec(t, "drop database if exists "+quote(name)) })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			one := template{name: name, build: func(ctx context.Context, address string) error {
				built.Add(1)
				conn, err := pgx.Connect(ctx, address)
				if err != nil {
					return err
				}
				defer conn.Close(ctx)
				_, err = conn.Exec(ctx, "create table built ()")
				return err
			}}
			if err := one.make(t.Context(), server); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if built.Load() != 1 {
		t.Errorf("it was built %d times", built.Load())
	}
	clone := get(t).create(t, name)
	if !query[bool](t, clone, "select to_regclass('built') is not null") {
		t.Error("the clone lacks what was built")
	}
}

func TestATemplateThatFailsToBuildLeavesNothingAndIsBuiltByTheNext(t *testing.T) {
	t.Parallel()
	server := get(t).server.URL
	name := databaseName("template")
	t.Cleanup(func() { get(t).exec(t, "drop database if exists "+quote(name)) })
	broken := errors.New("broken")
	one := template{name: name, build: func(context.Context, string) error { return broken }}
	if err := one.make(t.Context(), server); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	for _, left := range []string{name, name + "_unfinished"} {
		if exists(t, left) {
			t.Errorf("%s is left", left)
		}
	}

	get(t).exec(t, "create database "+quote(name+"_unfinished")) // of one who was killed
	one.build = func(context.Context, string) error { return nil }
	if err := one.make(t.Context(), server); err != nil {
		t.Fatal(err)
	}
	if !exists(t, name) {
		t.Error("the next one did not build it")
	}
}

func TestTheTemplateIsAnotherOneWhenAMigrationChanges(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"1.sql": {Data: []byte("a")}, "2.sql": {Data: []byte("b")}}
	before := mustHash(t, files)
	if mustHash(t, files) != before {
		t.Error("the hash of the same files differs")
	}
	files["2.sql"] = &fstest.MapFile{Data: []byte("c")}
	changed := mustHash(t, files)
	delete(files, "2.sql")
	if before == changed || mustHash(t, files) == before {
		t.Error("the hash does not tell migrations apart")
	}
}

func mustHash(t *testing.T, files fstest.MapFS) string {
	t.Helper()
	h, err := hash(files)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestNamesOfDatabasesFitAndTellTheTest(t *testing.T) {
	t.Parallel()
	name := databaseName("TestA/sub test/" + strings.Repeat("long", 30))
	if len(name) > 63 || !strings.HasPrefix(name, databasePrefix) || !strings.Contains(name, "_a_sub_test_long") {
		t.Errorf("got %s", name)
	}
}

func BenchmarkDatabase(b *testing.B) {
	Database(b)
	for b.Loop() {
		Database(b)
	}
}
