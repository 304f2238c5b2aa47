// Package pgtest gives tests a PostgreSQL database each.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		t.Parallel()
//		pool := pgtest.Pool(t)
//		…
//	}
//
// The server is that of PGQ_DATABASE_URL, which is how all test binaries of
// "make test" share one, or else is found or started by package pgserver when the
// first test asks for a database. The databases are clones of a template that is
// migrated once per server, so they cost little and tests may run in parallel.
//
// Tests of package migrations itself must be in migrations_test, because this
// package imports migrations.
package pgtest
