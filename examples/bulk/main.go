// Bulk handles jobs several at once: 250 letters in calls of a mail service that takes 100 at a time, with an answer for each.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// Letter asks to send a letter.
type Letter struct {
	To     int    `json:"to"`
	Server string `json:"server"`
}

// Kind names this kind of job for ever.
func (Letter) Kind() string { return "letter" }

const (
	queue   = "example_bulk"
	letters = 250
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
	ids, err := enqueue(ctx, q, pool)
	if err != nil {
		return err
	}

	var calls, sent atomic.Int64
	w := worker.New(pool, worker.Config{
		Client: q, Queues: worker.Queues{queue: {Concurrency: 200}}, // two batches at a time
		Logger: slog.New(slog.DiscardHandler),
	})
	worker.HandleBatch(w, worker.Batch[Letter]{
		Max:  100,
		Wait: 50 * time.Millisecond,
		By:   func(job *pgq.Job[Letter]) string { return job.Args.Server },
	}, func(ctx context.Context, jobs []*pgq.Job[Letter]) []error {
		calls.Add(1)
		answers := make([]error, len(jobs))
		for i, job := range jobs {
			if job.Args.To == 13 {
				answers[i] = pgq.Permanent(errors.New("nobody lives there"))
				continue
			}
			sent.Add(1)
		}
		return answers
	})
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()

	for _, id := range ids {
		job, err := q.AwaitFinished(ctx, pool, id)
		if err != nil {
			stop()
			return err
		}
		if job.State != pgq.Completed {
			fmt.Println("letter 13 is", job.State, "because", *job.Error)
		}
	}
	stop()
	fmt.Println("sent", sent.Load(), "letters, several per call:", calls.Load() < letters/5)
	return <-ended
}

// enqueue adds the letters and returns their ids.
func enqueue(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) (ids []int64, err error) {
	items := make([]pgq.Item, letters)
	for i := range items {
		items[i] = pgq.Item{Args: Letter{To: i, Server: fmt.Sprint("mx", i%2)}, Options: pgq.Options{Queue: queue}}
	}
	return q.EnqueueMany(ctx, pool, items)
}
