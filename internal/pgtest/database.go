package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// databasePrefix begins the names of the databases of tests.
const databasePrefix = "pgq_test_"

// Database returns the URL of a fresh database with PGQ installed in its default
// schema. The test's cleanup drops it, sessions or not.
func Database(t testing.TB) string {
	t.Helper()
	s := get(t)
	template, err := s.template()
	if err != nil {
		t.Fatal("pgtest: ", err)
	}
	return s.create(t, template)
}

// Empty returns the URL of a fresh database without PGQ. The test's cleanup drops
// it, sessions or not.
func Empty(t testing.TB) string {
	t.Helper()
	return get(t).create(t, "template0")
}

// EmptyIn is Empty in an encoding, LATIN1 for example.
func EmptyIn(t testing.TB, encoding string) string {
	t.Helper()
	return get(t).create(t, "template0", "encoding", "'"+encoding+"'", "lc_collate", "'C'", "lc_ctype", "'C'")
}

// Pool returns a pool of connections to a fresh Database. The test's cleanup closes it.
func Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	address := Database(t)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		t.Fatal("pgtest: ", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func (s *shared) create(t testing.TB, template string, options ...string) string {
	t.Helper()
	name := databaseName(t.Name())
	// To copy the files takes half the time of logging each page, on a server that need not sync them.
	s.exec(t, "create database "+quote(name)+" template "+quote(template)+" strategy file_copy "+strings.Join(options, " "))
	// The test's context has ended by then, so it is not used here.
	t.Cleanup(func() { s.exec(t, "drop database if exists "+quote(name)+" with (force)") })
	address, err := withDatabase(s.server.URL, name)
	if err != nil {
		t.Fatal("pgtest: ", err)
	}
	return address
}

func (s *shared) exec(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if _, err := s.admin.Exec(ctx, sql); err != nil {
		t.Errorf("pgtest: %s: %v", sql, err)
		t.FailNow()
	}
}

// databaseName is unique, and tells a human in pg_stat_activity which test it is of.
func databaseName(test string) string {
	readable := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return '_'
		}
	}, strings.TrimPrefix(test, "Test"))
	name := databasePrefix + strings.ToLower(rand.Text()[:10]) + "_" + readable
	return name[:min(len(name), 63)]
}

// withDatabase is the URL with another database in it.
func withDatabase(address, name string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "", fmt.Errorf("the server must be given as a URL, postgres://user:password@host:port/database")
	}
	u.Path = "/" + name
	return u.String(), nil
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
