package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/internal/pgtest"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/worker"
)

// Greet is a kind of job whose result is a greeting.
type Greet struct{ Name string }

func (Greet) Kind() string { return "greet" }

// A worker runs jobs until its context ends; Await waits for a result.
func ExampleHandleResult() {
	pgtest.Example(func(pool *pgxpool.Pool) {
		ctx, stop := context.WithCancel(context.Background())
		q := pgq.New(pgq.Config{})
		w := worker.New(pool, worker.Config{
			Queues: worker.Queues{"default": {Concurrency: 5}},
			Logger: slog.New(slog.DiscardHandler),
		})
		worker.HandleResult(w, func(ctx context.Context, job *pgq.Job[Greet]) (string, error) {
			return "hello, " + job.Args.Name, nil
		})
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()

		job, _ := q.Enqueue(ctx, pool, Greet{Name: "world"}, pgq.Options{})
		greeting, err := pgq.Await[string](ctx, q, pool, job.ID)
		fmt.Println(greeting, err)
		stop()
		fmt.Println(<-ended)
	})
	// Output:
	// hello, world <nil>
	// <nil>
}

// A handler answers by what it returns.
func ExampleHandle() {
	pgtest.Example(func(pool *pgxpool.Pool) {
		ctx, stop := context.WithCancel(context.Background())
		q := pgq.New(pgq.Config{})
		w := worker.New(pool, worker.Config{Logger: slog.New(slog.DiscardHandler)})
		worker.Handle(w, func(ctx context.Context, job *pgq.Job[Greet]) error {
			switch {
			case job.Args.Name == "":
				return pgq.Permanent(errors.New("nobody to greet"))
			case job.Number == 1:
				return pgq.RetryAfter(time.Millisecond, errors.New("still asleep"))
			}
			return nil
		})
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		for _, name := range []string{"", "world"} {
			job, _ := q.Enqueue(ctx, pool, Greet{Name: name}, pgq.Options{})
			info, _ := q.AwaitFinished(ctx, pool, job.ID)
			fmt.Println(info.State, "after attempt", info.Attempt)
		}
		stop()
		<-ended
	})
	// Output:
	// failed after attempt 1
	// completed after attempt 2
}

// Effects that a handler writes in the transaction in which it completes the job happen exactly once.
func ExampleWorker_transaction() {
	pgtest.Example(func(pool *pgxpool.Pool) {
		ctx, stop := context.WithCancel(context.Background())
		_, _ = pool.Exec(ctx, "create table greetings (name text)")
		q := pgq.New(pgq.Config{})
		w := worker.New(pool, worker.Config{Logger: slog.New(slog.DiscardHandler)})
		worker.Handle(w, func(ctx context.Context, job *pgq.Job[Greet]) error {
			tx, err := pool.Begin(ctx)
			if err != nil {
				return err
			}
			defer tx.Rollback(ctx) //nolint:errcheck // after a commit there is nothing to roll back
			if _, err := tx.Exec(ctx, "insert into greetings values ($1)", job.Args.Name); err != nil {
				return err
			}
			if err := job.Complete(ctx, tx, nil); err != nil {
				return err
			}
			return tx.Commit(ctx)
		})
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		job, _ := q.Enqueue(ctx, pool, Greet{Name: "world"}, pgq.Options{})
		info, _ := q.AwaitFinished(ctx, pool, job.ID)
		var n int
		_ = pool.QueryRow(ctx, "select count(*) from greetings").Scan(&n)
		fmt.Println(info.State, n)
		stop()
		<-ended
	})
	// Output: completed 1
}
