package pgq_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a database of the test's own with PGQ in it, and a client. At the end of the test no invariant may be broken.
type world struct {
	*testing.T
	pool *pgxpool.Pool
	q    *pgq.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, pool: pgtest.Pool(t), q: pgq.New(pgq.Config{})}
	t.Cleanup(func() { w.check(context.Background()) })
	return w
}

// check fails the test for every broken invariant.
func (w *world) check(ctx context.Context) {
	w.Helper()
	violations, err := w.q.Check(ctx, w.pool)
	if err != nil {
		w.Errorf("Check: %v", err)
	}
	for _, v := range violations {
		w.Errorf("Check: %s (job %v, %v)", v.Rule, deref(v.JobID), deref(v.Detail))
	}
}

// exec runs a statement with the schema as search path of its own.
func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.pool.Exec(w.Context(), sql, args...); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
}

// enqueue enqueues a job through the pool and returns its id.
func (w *world) enqueue(args pgq.Args, o pgq.Options) int64 {
	w.Helper()
	job, err := w.q.Enqueue(w.Context(), w.pool, args, o)
	must(w.T, err)
	return job.ID
}

// get returns a job.
func (w *world) get(id int64) *pgq.JobInfo {
	w.Helper()
	job, err := w.q.Get(w.Context(), w.pool, id)
	must(w.T, err)
	return job
}

// worker registers a worker for the queues.
func (w *world) worker(queues ...string) int64 {
	w.Helper()
	id, err := w.q.Register(w.Context(), w.pool, pgq.Registration{Name: w.Name(), Queues: queues, Lease: time.Minute})
	must(w.T, err)
	return id
}

// claim claims up to n jobs of any kind from a queue.
func (w *world) claim(worker int64, queue string, n int32) []*pgq.Attempt {
	w.Helper()
	claimed, err := w.q.Claim(w.Context(), w.pool, pgq.ClaimRequest{WorkerID: worker, Queues: []string{queue}, Limits: []int32{n}})
	must(w.T, err)
	return claimed
}

// one returns the only column of the only row of a query.
func one[T any](t *testing.T, db pgq.DB, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func deref[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func ptr[T any](v T) *T { return &v }

// until tries again and again, for as long as a test may take, until the condition holds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// refusal says of an error that the database raised: its SQLSTATE, and the field and the rule if it names them.
func refusal(err error) string {
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &pg):
		return err.Error()
	case pg.Code == "PQ001":
		return "PQ001 " + pg.ColumnName + " " + pg.Detail
	default:
		return pg.Code + " " + pg.Message
	}
}

// note is a plain kind of job.
type note struct {
	Text string `json:"text"`
}

func (note) Kind() string { return "note" }

// raw is a job of any kind whose args are JSON as it is.
type raw struct {
	kind string
	json string
}

func (r raw) Kind() string                 { return r.kind }
func (r raw) MarshalJSON() ([]byte, error) { return []byte(r.json), nil }

// session is a connection whose search path is the schema.
func (w *world) session() *pgx.Conn {
	w.Helper()
	conn, err := pgx.ConnectConfig(w.Context(), w.pool.Config().ConnConfig.Copy())
	must(w.T, err)
	w.Cleanup(func() { _ = conn.Close(context.Background()) })
	_, err = conn.Exec(w.Context(), "set search_path = pgq, pg_temp")
	must(w.T, err)
	return conn
}
