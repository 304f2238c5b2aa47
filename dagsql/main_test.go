package dagsql_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Tests wait for the database and for workers most of the time.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// deadline is how long a test waits for what must come. Nothing takes that long on an idle machine.
const deadline = 60 * time.Second

// act is a job that does as it is told.
type act struct {
	Fail   bool     `json:"fail,omitempty"`
	Branch []string `json:"branch,omitempty"`
}

func (act) Kind() string { return "act" }

func (act) Options() pgq.Options { return pgq.Options{MaxAttempts: 1} }

// bench is a fresh database with what a test does to it. When the test ends, its workers are stopped and every
// invariant of the schema is checked.
type bench struct {
	t    *testing.T
	ctx  context.Context
	pool *pgxpool.Pool
	q    *pgq.Client
	d    *dagsql.Client
	log  *logbook
}

func newBench(t *testing.T) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*deadline)
	q := pgq.New(pgq.Config{})
	b := &bench{t: t, ctx: ctx, pool: pgtest.Pool(t), q: q, d: dagsql.NewClient(q), log: &logbook{}}
	t.Cleanup(func() {
		defer cancel()
		if t.Failed() {
			t.Logf("what the workers logged:\n%s", b.log)
		}
		violations, err := q.Check(context.Background(), b.pool)
		for _, v := range violations {
			t.Errorf("broken invariant: %s (job %v, %v)", v.Rule, deref(v.JobID), deref(v.Detail))
		}
		if err != nil {
			t.Error("check: ", err)
		}
	})
	return b
}

func deref[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// work runs a worker that knows act and what handle adds, until the test ends.
func (b *bench) work(handle func(*worker.Worker)) {
	b.t.Helper()
	w := worker.New(b.pool, worker.Config{
		Queues: worker.Queues{"default": {Concurrency: 20}},
		Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Grace:  deadline,
	})
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[act]) (any, error) {
		if job.Args.Fail {
			return nil, pgq.Permanent(errors.New("told to"))
		}
		return dagsql.Choose(job.Args.Branch...), nil
	})
	if handle != nil {
		handle(w)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	})
}

// submit submits a DAG.
func (b *bench) submit(builder *dagsql.Builder) int64 {
	b.t.Helper()
	dag, err := b.d.Submit(b.ctx, b.pool, builder)
	if err != nil {
		b.t.Fatal(err)
	}
	return dag.ID
}

// states returns the states of all nodes by name; those that a failure caused to be skipped or to fail end with "!".
func (b *bench) states(id int64) map[string]string {
	b.t.Helper()
	nodes, _, err := b.d.Nodes(b.ctx, b.pool, id, dagsql.Filter{Limit: 10_000})
	if err != nil {
		b.t.Fatal(err)
	}
	states := map[string]string{}
	for _, n := range nodes {
		states[n.Name] = string(n.State)
		if n.CauseID != nil {
			states[n.Name] += "!"
		}
	}
	return states
}

// ended waits until a DAG has ended and returns it.
func (b *bench) ended(id int64) dagsql.Run {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, deadline)
	defer cancel()
	run, err := b.d.Await(ctx, b.pool, id)
	if err != nil {
		states := b.states(id)
		b.t.Fatalf("%v; nodes are %v", err, states)
	}
	return run
}

// logbook holds what workers log.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
