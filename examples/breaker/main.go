// Breaker has jobs that need a bank which does not answer: after three failures a circuit breaker keeps all others from starting, lets one try now and then,
// and lets all go on when that succeeds.
package main

import (
	"context"
	"errors"
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

const queue = "example_breaker"

// Charge needs the bank.
type Charge struct {
	Order int `json:"order"`
}

// Kind names this kind of job for ever.
func (Charge) Kind() string { return "charge" }

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

	charges := pgq.OfKind("charge")
	err = q.SetLimit(ctx, pool, charges, pgq.Limit{BreakAfter: 3, BreakWithin: time.Minute, BreakFor: 200 * time.Millisecond})
	if err != nil {
		return err
	}
	var items []pgq.Item
	for order := range 10 {
		items = append(items, pgq.Item{Args: Charge{order}, Options: pgq.Options{
			Queue: queue, MaxAttempts: pgq.Unlimited, Backoff: pgq.Backoff{Type: pgq.BackoffConstant, Base: 10 * time.Millisecond},
		}})
	}
	ids, err := q.EnqueueMany(ctx, pool, items)
	if err != nil {
		return err
	}

	var answers atomic.Bool // the bank
	working, stop := context.WithCancel(ctx)
	defer stop()
	w := worker.New(pool, worker.Config{Client: q, Queues: worker.Queues{queue: {Concurrency: 2}}})
	worker.Handle(w, func(context.Context, *pgq.Job[Charge]) error {
		if !answers.Load() {
			return errors.New("the bank does not answer")
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()

	if err := becomes(ctx, q, pool, charges, "open"); err != nil {
		return err
	}
	fmt.Println("the breaker is open: nobody calls the bank, and no attempts are lost")
	answers.Store(true)
	for _, id := range ids {
		if _, err := q.AwaitFinished(ctx, pool, id); err != nil {
			return err
		}
	}
	if err := becomes(ctx, q, pool, charges, "closed"); err != nil {
		return err
	}
	fmt.Println("a probe has succeeded, the breaker is closed, and all orders are charged")
	stop()
	return <-ended
}

// becomes waits until the breaker of a limit is in a state.
func becomes(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool, of pgq.Scope, state string) error {
	for {
		limit, err := q.LimitState(ctx, pool, of)
		if err != nil || limit.Breaker == state {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
