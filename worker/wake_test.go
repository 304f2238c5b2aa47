package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// gates counts the queues that somebody sleeps on; each has sixteen locks.
const gates = `select count(*) / 16 from pg_locks
	where locktype = 'advisory' and mode = 'ShareLock' and granted
	and database = (select oid from pg_database where datname = current_database())`

// sleeps runs a worker and waits until it sleeps.
func (b *bench) sleeps(w *worker.Worker) (stop func()) {
	b.t.Helper()
	stop = b.run(w)
	b.becomes(1, gates)
	return stop
}

// listener returns a connection that hears what workers hear, and a function that returns all it has heard so far.
func (b *bench) listener() (heard func() []string) {
	b.t.Helper()
	ctx := context.Background()
	conn, err := pgx.ConnectConfig(ctx, b.pool.Config().ConnConfig)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = conn.Close(ctx) })
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{b.q.Channel()}.Sanitize()+"; listen done"); err != nil {
		b.t.Fatal(err)
	}
	return func() []string {
		b.exec("notify done") // comes after all that was sent before
		limit, cancel := context.WithTimeout(ctx, deadline)
		defer cancel()
		var all []string
		for {
			n, err := conn.WaitForNotification(limit)
			if err != nil {
				b.t.Fatal(err)
			}
			if n.Channel == "done" {
				return all
			}
			all = append(all, n.Payload)
		}
	}
}

func TestASleepingWorkerIsWokenByNotify(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.worker(worker.Config{PollInterval: time.Hour, NoChores: true})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error { return nil })
	b.sleeps(w)
	heard := b.listener()
	// However often it slept, and however long its pauses are: each is found long before the next look.
	for range 10 {
		b.becomes(1, gates)
		b.ends(b.enqueue(pgq.Options{}), pgq.Completed, 1)
	}
	if got := heard(); len(got) == 0 || got[0] != "wake default" {
		t.Errorf("notifications are %q, want \"wake default\"", got)
	}
}

func TestNothingIsSentWhenNobodySleeps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	heard := b.listener()
	b.enqueue(pgq.Options{})
	b.enqueueMany(10, pgq.Options{})
	if got := heard(); len(got) > 0 {
		t.Errorf("without a worker %q were sent", got)
	}
	release := make(chan struct{})
	started := make(chan struct{}, 20)
	w := b.worker(worker.Config{Queues: worker.Queues{"default": {Concurrency: 2}}})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error {
		started <- struct{}{}
		<-release
		return nil
	})
	b.run(w)
	receive(t, started, "a handler")
	receive(t, started, "another handler")
	b.becomes(0, gates) // busy: all slots are in use
	heard()
	b.enqueue(pgq.Options{})
	if got := heard(); len(got) > 0 {
		t.Errorf("while the worker was busy %q were sent", got)
	}
	close(release)
	b.becomes(12, completed)
}

func TestAJobWhoseTransactionLookedBeforeTheWorkerSleptIsFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := context.Background()
	tx, err := b.pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(ctx) })
	job, err := b.q.Enqueue(ctx, tx, letter{}, pgq.Options{}) // nobody sleeps: no NOTIFY
	if err != nil {
		t.Fatal(err)
	}
	heard := b.listener()
	w := b.worker(worker.Config{})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error { return nil })
	b.sleeps(w)
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	b.ends(job.ID, pgq.Completed, 1)
	if got := heard(); len(got) > 0 {
		t.Errorf("%q were sent, which makes this test worthless", got)
	}
}

// tracer notes when queries begin.
type tracer struct{ begins chan time.Time }

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	t.begins <- time.Now()
	return ctx
}

func (tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestAnIdleWorkerMakesAtMostTwoQueriesPerSecond(t *testing.T) {
	t.Parallel()
	config, err := pgxpool.ParseConfig(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	queries := tracer{make(chan time.Time, 100_000)}
	config.ConnConfig.Tracer = queries
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	b := onPool(t, pool)
	queues := worker.Queues{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		queues[name] = worker.QueueConfig{}
	}
	w := b.worker(worker.Config{Queues: queues})
	worker.Handle(w, func(context.Context, *pgq.Job[letter]) error { return nil })
	b.run(w)
	// It is idle once five queries take two seconds; from there on ten must take more than four.
	var last []time.Time
	next := func() time.Time { return receive(t, queries.begins, "a query") }
	for len(last) < 5 || last[4].Sub(last[0]) < 2*time.Second {
		if last = append(last, next()); len(last) > 5 {
			last = last[1:]
		}
	}
	begin := last[4]
	for range 9 {
		last[4] = next()
	}
	if took := last[4].Sub(begin); took < 4*time.Second {
		t.Errorf("9 queries took %s, want more than 4s", took)
	}
}
