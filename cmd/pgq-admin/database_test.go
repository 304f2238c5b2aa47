package main_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/pgq-go/queue/internal/pgtest"
)

func TestMigrateInstallsShowsAndRemovesASchema(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	flags := []string{"--url", url, "--schema", "jobs of mine"}
	migrate := func(args ...string) outcome {
		return admin(t, append(append([]string{"migrate"}, args...), flags...)...)
	}

	migrate("status").want(t, 0, "not installed", "migrate up", "pending")
	migrate("up").want(t, 0, "applied 00001_tables.sql", "applied 00002_functions.sql", "schema jobs of mine is at version 2")
	again := migrate("up")
	again.want(t, 0, "schema jobs of mine is at version 2")
	again.hides(t, "applied")
	migrate("status").want(t, 0, "VERSION  NAME", "00002_functions.sql")
	admin(t, append([]string{"check"}, flags...)...).want(t, 0, "all invariants hold")

	migrate("down").want(t, 2, "--yes", "nothing was changed")
	migrate("status").want(t, 0)
	migrate("down", "--yes").want(t, 0, "removed PGQ from schema jobs of mine")
	if left := query(t, connect(t, url), "select nspname::text from pg_namespace where nspname = 'jobs of mine'"); left != "" {
		t.Errorf("schema %q is left", left)
	}
	migrate("down", "--yes").want(t, 6, "not installed")
}

func TestMigrateDownLeavesASchemaThatItDidNotCreate(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), "create schema jobs"); err != nil {
		t.Fatal(err)
	}
	admin(t, "migrate", "up", "--schema", "jobs", "--url", url).want(t, 0)
	admin(t, "migrate", "down", "--yes", "--schema", "jobs", "--url", url).want(t, 0, "removed PGQ from schema jobs")
	if left := query(t, conn, "select nspname::text from pg_namespace where nspname = 'jobs'"); left != "jobs" {
		t.Error("schema jobs was dropped")
	}
}

func TestMigrateLeavesASchemaOfSomebodyElseAlone(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), "create schema pgq; create table pgq.theirs (id int)"); err != nil {
		t.Fatal(err)
	}
	admin(t, "migrate", "up", "--url", url).want(t, 1, "not PGQ's", "theirs", "fix: choose another schema")
	admin(t, "migrate", "down", "--yes", "--url", url).want(t, 6, "not installed")
	if got := query(t, conn, "select relname::text from pg_class where relnamespace = 'pgq'::regnamespace"); got != "theirs" {
		t.Errorf("schema pgq holds %q, want theirs", got)
	}
}

func TestCheckExitsWithFourOnABrokenDatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin(t, "check", "--url", url).want(t, 0, "schema pgq: all invariants hold")
	_, err := connect(t, url).Exec(t.Context(), `
		select pgq.enqueue('mail');
		delete from pgq.ready`)
	if err != nil {
		t.Fatal(err)
	}
	admin(t, "check", "--url", url).want(t, 4, "1 broken invariants", "RULE", "at least one of waiting, ready")
}

func TestCheckNamesTheFixForASchemaThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	admin(t, "check", "--url", url, "--schema", "elsewhere").want(t, 6, "not installed", "pgq-admin migrate up")
	_, err := connect(t, url).Exec(t.Context(), "insert into pgq.schema_migrations (version_id, is_applied) values (99, true)")
	if err != nil {
		t.Fatal(err)
	}
	admin(t, "check", "--url", url).want(t, 6, "version 99", "fix: use a newer pgq-admin")
}

func TestAnUnreachableDatabaseExitsWithEightAndShowsNoPassword(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil { // now nobody listens there
		t.Fatal(err)
	}
	for _, url := range []string{
		fmt.Sprintf("postgres://app:Hidd3n%%21Word@127.0.0.1:%d/app", port),
		fmt.Sprintf("host=127.0.0.1 port=%d user=app password='Hidd3n Word' dbname=app", port),
	} {
		for _, args := range [][]string{{"check"}, {"migrate", "up"}, {"migrate", "status"}, {"migrate", "down", "--yes"}, {"demo"}} {
			for _, by := range []call{
				{args: append(args, "--url", url)},
				{args: args, env: []string{"PGQ_DATABASE_URL=" + url}},
			} {
				o := by.run(t)
				o.want(t, 8, fmt.Sprint(port))
				o.hides(t, "Hidd3n")
			}
		}
	}
	for _, bad := range []string{"postgres://app:Hidd3n%Word@127.0.0.1/app", "postgres://app:Hidd3n@host:port/app", "password=Hidd3n host"} {
		for _, args := range [][]string{{"check"}, {"demo"}, {"config", "show"}} {
			o := admin(t, append(args, "--url", bad)...)
			o.want(t, 2, "--url: database_url must ", "fix: correct --url")
			o.hides(t, "Hidd3n")
		}
	}
}

func TestARefusedPasswordExitsWithEightAndIsNotShown(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	config := connect(t, url).Config()
	if config.Host[0] == '/' {
		t.Skip("the server is reached by a Unix socket, which may ask for no password")
	}
	wrong := fmt.Sprintf("postgres://nobody_of_that_name:Hidd3nWord@%s:%d/%s", config.Host, config.Port, config.Database)
	o := admin(t, "check", "--url", wrong)
	o.want(t, 8, "nobody_of_that_name", "fix: check host")
	o.hides(t, "Hidd3nWord")
}

func TestADatabaseMustBeGiven(t *testing.T) {
	t.Parallel()
	admin(t, "check").want(t, 2, "no database is given", "export PGQ_DATABASE_URL=")
	admin(t, "migrate", "up").want(t, 2, "no database is given")
	admin(t, "check", "--url", "").want(t, 2, "--url: database_url must not be empty")
}

func TestARoleWithoutRightsIsToldWhatItLacks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	role := fmt.Sprintf("nobody_%d", s.count("select oid::integer from pg_database where datname = current_database()"))
	s.sql("create role " + role)
	t.Cleanup(func() { _, _ = s.pool.Exec(context.Background(), "drop role "+role) })
	asRole := "PGOPTIONS=-c role=" + role
	for _, line := range []string{"migrate status", "migrate up"} {
		c := s.adminCall(line)
		c.env = append(c.env, asRole)
		c.run(t).want(t, 1, "permission denied: role "+role+" may not use schema pgq", "fix: connect as that owner")
	}
	c := s.adminCall("check")
	c.env = append(c.env, asRole)
	c.run(t).want(t, 1, "permission denied", "fix: an owner of the schema can allow it")
}
