package migrations_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq/migrations"
)

// role makes a database role for a test, which is of the server, in a database that goes when the test ends.
func role(t *testing.T, conn *pgx.Conn) string {
	t.Helper()
	name := "pgq_test_" + strings.ToLower(rand.Text()[:12])
	mustExec(t, conn, "create role "+name)
	t.Cleanup(func() { mustExec(t, conn, "drop owned by "+name+"; drop role "+name) })
	return name
}

const commentOf = "select coalesce(obj_description(oid, 'pg_namespace'), '') from pg_namespace where nspname = $1"

func TestTheSchemaHasACommentUnlessItIsOfSomebodyElse(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := connect(t, url)
	mustExec(t, conn, "create schema told; comment on schema told is 'ours'; create schema bare")
	for name, want := range map[string]string{
		"made": "PGQ, made by its migrations: a job queue.", awkward: "PGQ, made by its migrations: a job queue.", "told": "ours", "bare": "PGQ: a job queue.",
	} {
		o := migrations.Options{Schema: name}
		if err := migrations.Up(t.Context(), url, o); err != nil {
			t.Fatal(name, err)
		}
		if got := one[string](t, conn, commentOf, name); !strings.HasPrefix(got, want) {
			t.Errorf("schema %s: %q", name, got)
		}
		mustExec(t, conn, "create table "+pgx.Identifier{name}.Sanitize()+".theirs ()") // so that the schema stays
		if err := migrations.Down(t.Context(), url, o); err != nil {
			t.Fatal(name, err)
		}
		if got := one[string](t, conn, commentOf, name); strings.HasPrefix(got, "PGQ") || want == "ours" && got != want {
			t.Errorf("schema %s after down: %q", name, got)
		}
	}
}

func TestGrantsInSchemasOfAnyName(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := connect(t, url)
	worker := role(t, conn)
	for _, name := range []string{awkward, "with-dash and space", "Été"} {
		up(t, url, name)
		quoted := pgx.Identifier{name}.Sanitize()
		mustExec(t, conn, "select "+quoted+".grant_role('worker', '"+worker+"')")
		if !one[bool](t, conn, "select has_function_privilege($1, $2, 'execute')", worker, quoted+".heartbeat(bigint)") {
			t.Errorf("the worker has no rights in schema %s", name)
		}
	}
}
