// Ageing lets a job of the last priority run in a queue that never runs out of jobs of the soonest one.
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

const queue = "example_ageing"

// Ticket is urgent, and there is always another one.
type Ticket struct{}

// Kind names this kind of job for ever.
func (Ticket) Kind() string { return "ticket" }

// Report may be late, but not for ever.
type Report struct{}

// Kind names this kind of job for ever.
func (Report) Kind() string { return "report" }

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

	// In earnest it would be minutes.
	every := 200 * time.Millisecond
	err = q.SetQueue(ctx, pool, queue, pgq.QueueSettings{AgeEvery: &every})
	if err != nil {
		return err
	}

	urgent, late := pgq.Options{Queue: queue, Priority: pgq.Prio(0)}, pgq.Options{Queue: queue, Priority: pgq.Prio(9)}
	for range 20 {
		if _, err := q.Enqueue(ctx, pool, Ticket{}, urgent); err != nil {
			return err
		}
	}
	if _, err := q.Enqueue(ctx, pool, Report{}, late); err != nil {
		return err
	}
	fmt.Println("a report is enqueued behind 20 tickets")

	var open atomic.Int64 // tickets that nobody has answered
	open.Store(20)
	working, stop := context.WithCancel(ctx)
	defer stop()
	w := worker.New(pool, worker.Config{Client: q, Queues: worker.Queues{queue: {Concurrency: 2}}})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[Ticket]) error {
		// Whoever answers a ticket gets two in return: the queue only grows.
		tx, err := pool.Begin(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
		for range 2 {
			if _, err := q.Enqueue(ctx, tx, Ticket{}, urgent); err != nil {
				return err
			}
		}
		open.Add(1) // two more, and this one is answered
		return tx.Commit(ctx)
	})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[Report]) error {
		defer stop()
		fmt.Println("the report is written, though more tickets are open than in the beginning:", open.Load() > 20)
		return nil
	})
	return w.Run(working)
}
