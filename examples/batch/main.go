// Batch enqueues 10,000 jobs at once, and shows the counts per state before and after a worker has run them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// Square asks for a square.
type Square struct {
	N int `json:"n"`
}

// Kind names this kind of job for ever.
func (Square) Kind() string { return "square" }

const (
	queue = "example_batch"
	jobs  = 10_000
)

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
	items := make([]pgq.Item, jobs)
	for n := range items {
		items[n] = pgq.Item{Args: Square{N: n}, Options: pgq.Options{Queue: queue}}
	}
	ids, err := q.EnqueueMany(ctx, pool, items) // all or none
	if err != nil {
		return err
	}
	if err := show(ctx, q, pool, "before"); err != nil {
		return err
	}

	w := worker.New(pool, worker.Config{
		Client: q, Queues: worker.Queues{queue: {Concurrency: 20}},
		Logger: slog.New(slog.DiscardHandler),
	})
	worker.HandleResult(w, func(_ context.Context, job *pgq.Job[Square]) (int, error) {
		if job.Args.N == 13 {
			return 0, pgq.Permanent(errors.New("13 brings bad luck"))
		}
		return job.Args.N * job.Args.N, nil
	})
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	for left, err := int64(1), error(nil); left > 0; time.Sleep(20 * time.Millisecond) {
		if left, err = unfinished(ctx, q, pool); err != nil {
			stop()
			return err
		}
	}
	stop()
	if err := <-ended; err != nil {
		return err
	}

	if err := show(ctx, q, pool, "after"); err != nil {
		return err
	}
	square, err := pgq.Result[int](ctx, q, pool, ids[99])
	fmt.Println("the square of 99 is", square)
	return err
}

// unfinished returns how many jobs of the queue wait or run.
func unfinished(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) (n int64, err error) {
	counts, err := q.Counts(ctx, pool)
	for _, c := range counts {
		if c.Queue == queue && !c.State.Finished() {
			n += c.Jobs
		}
	}
	return n, err
}

// show prints how many jobs of the queue are in each state.
func show(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool, when string) error {
	counts, err := q.Counts(ctx, pool)
	for _, c := range counts {
		if c.Queue == queue {
			fmt.Printf("%s: %d %s\n", when, c.Jobs, c.State)
		}
	}
	return err
}
