package worker_test

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

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
const deadline = 30 * time.Second

// letter is the job of most tests.
type letter struct {
	To int `json:"to"`
}

func (letter) Kind() string { return "letter" }

// bench is a fresh database with what a test does to it. When the test ends, its workers are stopped and every
// invariant of the schema is checked.
type bench struct {
	t    *testing.T
	pool *pgxpool.Pool
	q    *pgq.Client
	log  *logbook
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return onPool(t, pgtest.Pool(t))
}

func onPool(t *testing.T, pool *pgxpool.Pool) *bench {
	t.Helper()
	b := &bench{t: t, pool: pool, q: pgq.New(pgq.Config{}), log: &logbook{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the workers logged:\n%s", b.log)
		}
		violations, err := b.q.Check(context.Background(), pool)
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

// worker returns a worker with quick settings where c has none.
func (b *bench) worker(c worker.Config) *worker.Worker { return b.workerOn(b.pool, c) }

func (b *bench) workerOn(pool *pgxpool.Pool, c worker.Config) *worker.Worker {
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if c.Grace == 0 {
		c.Grace = deadline
	}
	return worker.New(pool, c)
}

// run runs a worker and returns a function that stops it and waits for its end. The end of the test stops it too.
func (b *bench) run(w *worker.Worker) (stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				b.t.Errorf("Run: %v", err)
			}
		case <-time.After(2 * deadline):
			b.t.Error("Run did not return")
		}
	})
	b.t.Cleanup(stop)
	b.eventually("the worker is ready", func() bool { return w.Ready() == nil || len(ended) > 0 })
	return stop
}

// enqueue adds a letter.
func (b *bench) enqueue(o pgq.Options) int64 {
	b.t.Helper()
	return b.add(letter{}, o)
}

func (b *bench) add(args pgq.Args, o pgq.Options) int64 {
	b.t.Helper()
	job, err := b.q.Enqueue(context.Background(), b.pool, args, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return job.ID
}

// finished waits until a job is in a terminal state and returns it.
func (b *bench) finished(id int64) *pgq.JobInfo {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	job, err := b.q.AwaitFinished(ctx, b.pool, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return job
}

// ends waits until a job is finished and fails the test unless it is in this state after so many attempts.
func (b *bench) ends(id int64, state pgq.State, attempts int) *pgq.JobInfo {
	b.t.Helper()
	job := b.finished(id)
	if job.State != state || job.Attempt != attempts {
		b.t.Fatalf("job %d is %s after %d attempts (error %v), want %s after %d",
			id, job.State, job.Attempt, deref(job.Error), state, attempts)
	}
	return job
}

// get returns a job as it is.
func (b *bench) get(id int64) *pgq.JobInfo {
	b.t.Helper()
	job, err := b.q.Get(context.Background(), b.pool, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return job
}

// errorHas fails the test unless the job's error has this part.
func (b *bench) errorHas(job *pgq.JobInfo, part string) {
	b.t.Helper()
	if job.Error == nil || !strings.Contains(*job.Error, part) {
		b.t.Errorf("error of job %d is %v, want one with %q", job.ID, deref(job.Error), part)
	}
}

// history returns the events of a job of one type.
func (b *bench) history(id int64, kind pgq.EventType) []pgq.Event {
	b.t.Helper()
	all, err := b.q.History(context.Background(), b.pool, id)
	if err != nil {
		b.t.Fatal(err)
	}
	var events []pgq.Event
	for _, e := range all {
		if e.Type == kind {
			events = append(events, e)
		}
	}
	return events
}

// exec runs a statement, in the schema of PGQ.
func (b *bench) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.pool.Exec(context.Background(), sql, args...); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// number reads one number.
func (b *bench) number(sql string, args ...any) (n int64) {
	b.t.Helper()
	if err := b.pool.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// becomes waits until a query returns this number.
func (b *bench) becomes(want int64, sql string, args ...any) {
	b.t.Helper()
	var got int64
	b.eventually(sql, func() bool { got = b.number(sql, args...); return got == want })
}

// eventually waits until what is said comes true.
func (b *bench) eventually(what string, holds func() bool) {
	b.t.Helper()
	eventually(b.t, what, holds)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(deadline)
	defer limit.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-limit.C:
			t.Fatalf("never came true within %s: %s", deadline, what)
		case <-again.C:
		}
	}
}

// receive waits for a value.
func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(deadline):
		t.Fatalf("waited %s in vain for %s", deadline, what)
		panic("unreachable")
	}
}

// logbook keeps what workers log.
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

// has reports whether one line has all these parts.
func (l *logbook) has(parts ...string) bool {
	for line := range strings.Lines(l.String()) {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			return true
		}
	}
	return false
}

// observations collects what Config.Observe is told.
type observations struct {
	mu  sync.Mutex
	all []worker.Observation
}

func (o *observations) add(one worker.Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, one)
}

// of returns those of a type.
func (o *observations) of(kind string) []worker.Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []worker.Observation
	for _, one := range o.all {
		if one.Type == kind {
			found = append(found, one)
		}
	}
	return found
}
