// Backoff has a job tried again after pauses from a table, finds what failed for good by what the errors have in common, and runs that again at a rate.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

const queue = "example_backoff"

// Ship needs an order that is there.
type Ship struct {
	Order int `json:"order"`
}

// Kind names this kind of job for ever.
func (Ship) Kind() string { return "ship" }

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

	pauses := pgq.Backoff{Type: pgq.BackoffTable, Delays: []time.Duration{10 * time.Millisecond, 50 * time.Millisecond}}
	attempts := 3
	if err := q.SetQueue(ctx, pool, queue, pgq.QueueSettings{Backoff: &pauses, MaxAttempts: &attempts}); err != nil {
		return err
	}
	ids, err := q.EnqueueMany(ctx, pool, []pgq.Item{
		{Args: Ship{17}, Options: pgq.Options{Queue: queue}}, {Args: Ship{4711}, Options: pgq.Options{Queue: queue}},
	})
	if err != nil {
		return err
	}

	var imported atomic.Bool
	working, stop := context.WithCancel(ctx)
	defer stop()
	w := worker.New(pool, worker.Config{Client: q, Queues: worker.Queues{queue: {Concurrency: 2}}})
	worker.Handle(w, func(_ context.Context, job *pgq.Job[Ship]) error {
		if !imported.Load() {
			return fmt.Errorf("order %d not found", job.Args.Order)
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()

	if err := finish(ctx, q, pool, ids); err != nil {
		return err
	}
	if err := tell(ctx, q, pool, ids[0]); err != nil {
		return err
	}
	groups, err := q.Failures(ctx, pool, pgq.FailureFilter{Queues: []string{queue}})
	if err != nil {
		return err
	}
	fmt.Printf("%d jobs failed in the same way\n", groups[0].Jobs)

	imported.Store(true)
	_, err = q.Change(ctx, pool, pgq.Change{
		Verb: pgq.VerbRetry, Rate: 20, Reason: "orders are imported",
		Filter: pgq.Filter{States: []pgq.State{pgq.Failed}, Queues: []string{queue}, Fingerprints: []string{groups[0].Fingerprint}},
	})
	if err != nil {
		return err
	}
	if err := finish(ctx, q, pool, ids); err != nil {
		return err
	}
	groups, err = q.Failures(ctx, pool, pgq.FailureFilter{Queues: []string{queue}})
	if err != nil {
		return err
	}
	fmt.Println("run again, 20 per second; dead letters:", len(groups))
	stop()
	return <-ended
}

// tell tells why the attempts of a job failed.
func tell(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool, id int64) error {
	failed, err := q.Errors(ctx, pool, id)
	for _, e := range failed {
		fmt.Printf("attempt %d: %s\n", e.Attempt, e.Error)
	}
	return err
}

// finish waits until jobs have ended.
func finish(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool, ids []int64) error {
	for _, id := range ids {
		job, err := q.AwaitFinished(ctx, pool, id)
		if err != nil {
			return err
		}
		fmt.Println("the job is", job.State)
	}
	return nil
}
