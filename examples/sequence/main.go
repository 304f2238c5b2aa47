// Sequence runs what happens to an order one after the other, while other orders go on at the same time. A payment that fails for good
// stops the sequence of its order until it is retried.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// Step is what is to happen to an order.
type Step struct {
	Order int    `json:"order"`
	What  string `json:"what"`
}

// Kind names this kind of job for ever.
func (Step) Kind() string { return "order_step" }

const queue = "example_sequence"

func main() {
	url := os.Getenv("PGQ_DATABASE_URL")
	if url == "" {
		log.Fatal("set PGQ_DATABASE_URL, for example postgres://user:password@localhost:5432/database")
	}
	if err := run(context.Background(), url); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, url string) error {
	if err := migrations.Up(ctx, url, migrations.Options{}); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	q := pgq.New(pgq.Config{})

	var declined atomic.Bool // the card of order 8
	declined.Store(true)
	w := worker.New(pool, worker.Config{
		Queues: worker.Queues{queue: {Concurrency: 10}}, Logger: slog.New(slog.DiscardHandler),
	})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[Step]) error {
		if job.Args.Order == 8 && job.Args.What == "pay" && declined.Load() {
			return pgq.Permanent(errors.New("the card was declined"))
		}
		fmt.Printf("order %d: %s\n", job.Args.Order, job.Args.What)
		return nil
	})
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	defer func() { stop(); <-ended }()

	last, err := place(ctx, q, pool, 7)
	if err != nil {
		return err
	}
	if _, err := pgq.Await[any](ctx, q, pool, last); err != nil {
		return err
	}
	return repair(ctx, q, pool, &declined)
}

// place enqueues the steps of an order, and returns the last one.
func place(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool, order int) (last int64, err error) {
	for _, what := range []string{"reserve", "pay", "ship"} {
		job, err := q.Enqueue(ctx, pool, Step{Order: order, What: what}, pgq.Options{
			Queue: queue, Sequence: fmt.Sprint("order/", order), OnFailure: pgq.StopSequence,
		})
		if err != nil {
			return 0, err
		}
		last = job.ID
	}
	return last, nil
}

// repair lets a sequence go on that a failed job has stopped.
func repair(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool, declined *atomic.Bool) error {
	last, err := place(ctx, q, pool, 8)
	if err != nil {
		return err
	}
	_, err = pgq.Await[any](ctx, q, pool, last-1)
	fmt.Println("the payment fails:", errors.Is(err, pgq.ErrNotCompleted))
	sequence, err := q.Sequence(ctx, pool, "order/8")
	if err != nil {
		return err
	}
	fmt.Printf("the sequence is %s (%s), %d job waits\n", sequence.State, *sequence.Error, sequence.Waiting)

	declined.Store(false)
	if _, err := q.Retry(ctx, pool, *sequence.JobID); err != nil { // or ResumeSequence, to go on without it
		return err
	}
	_, err = pgq.Await[any](ctx, q, pool, last)
	return err
}
