package integration

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
)

// TestMain runs the tests, or, in a process that a test has started, a worker or a consumer.
func TestMain(m *testing.M) {
	if url := os.Getenv(workerURL); url != "" {
		os.Exit(workerMain(url))
	}
	if url := os.Getenv(consumerURL); url != "" {
		os.Exit(consumerMain(url))
	}
	// Sequences of verbs; -rapid.checks asks for more.
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
	flag.Parse()
	// Tests wait for leases, servers and locks most of the time.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// deadline is how long a test waits for what must come. Nothing takes that long on an idle machine.
const deadline = 60 * time.Second

// system is a database with PGQ and the table effects, in which workers write what they ran. When the test ends,
// every invariant of the schema is checked.
type system struct {
	t    *testing.T
	url  string
	pool *pgxpool.Pool
	q    *pgq.Client
}

func newSystem(t *testing.T) *system {
	t.Helper()
	return systemAt(t, pgtest.Database(t))
}

func systemAt(t *testing.T, url string) *system {
	t.Helper()
	s := &system{t: t, url: url, pool: connect(t, url), q: pgq.New(pgq.Config{})}
	s.exec("create table effects (job_id bigint not null, attempt integer not null, pid integer not null, what text not null)")
	t.Cleanup(s.check)
	return s
}

func connect(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 6
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// check fails the test for every broken invariant.
func (s *system) check() {
	s.t.Helper()
	violations, err := s.q.Check(context.Background(), s.pool)
	if err != nil {
		s.t.Error("check: ", err)
	}
	for _, v := range violations {
		s.t.Errorf("broken invariant: %s (job %v, %v)", v.Rule, deref(v.JobID), deref(v.Detail))
	}
}

func deref[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func (s *system) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.pool.Exec(context.Background(), sql, args...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// number reads one number.
func (s *system) number(sql string, args ...any) (n int64) {
	s.t.Helper()
	if err := s.pool.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// becomes waits until a query returns this number. It puts up with a database that is away.
func (s *system) becomes(want int64, sql string, args ...any) {
	s.t.Helper()
	var got int64
	var err error
	if !wait(func() bool {
		err = s.pool.QueryRow(context.Background(), sql, args...).Scan(&got)
		return err == nil && got == want
	}) {
		s.t.Fatalf("%s is %d (%v) after %s, want %d", sql, got, err, deadline, want)
	}
}

// is fails the test unless a query returns this number.
func (s *system) is(want int64, what, sql string, args ...any) {
	s.t.Helper()
	if got := s.number(sql, args...); got != want {
		s.t.Errorf("%s: %d, want %d", what, got, want)
	}
}

// eventually waits until what is said comes true.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	if !wait(holds) {
		t.Fatalf("never came true within %s: %s", deadline, what)
	}
}

// wait waits for a condition, and reports whether it came true in time.
func wait(holds func() bool) bool {
	limit := time.NewTimer(deadline)
	defer limit.Stop()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-limit.C:
			return false
		case <-again.C:
		}
	}
	return true
}

// errand is the job of these tests. What says how its handler is to behave.
type errand struct {
	What string `json:"what"`
}

func (errand) Kind() string { return "errand" }

// enqueue adds n errands.
func (s *system) enqueue(n int, what string, o pgq.Options) {
	s.t.Helper()
	items := make([]pgq.Item, n)
	for i := range items {
		items[i] = pgq.Item{Args: errand{what}, Options: o}
	}
	if _, err := s.q.EnqueueMany(context.Background(), s.pool, items); err != nil {
		s.t.Fatal(err)
	}
}

const (
	completed  = "select count(*) from pgq.results where state = 'completed'"
	leased     = "select count(*) from pgq.running"
	registered = "select count(*) from pgq.workers"
)

// mutate replaces a part of a function of the schema, which must be there.
func (s *system) mutate(function, old, new string) {
	s.t.Helper()
	mutate(s.t, s.pool, function, old, new)
}

func mutate(t *testing.T, db pgq.DB, function, old, new string) {
	t.Helper()
	ctx := context.Background()
	var source string
	if err := db.QueryRow(ctx, "select pg_get_functiondef(('pgq.' || $1)::regproc)", function).Scan(&source); err != nil {
		t.Fatal(err)
	}
	mutated := strings.Replace(source, old, new, 1)
	if mutated == source {
		t.Fatalf("function %s has no %q", function, old)
	}
	if _, err := db.Exec(ctx, mutated); err != nil {
		t.Fatal(err)
	}
}
