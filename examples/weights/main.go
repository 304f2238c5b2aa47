// Weights lets two queues of a worker share its slots three to one, and lets one have all of them when the other has nothing to do.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

const mails, reports = "example_mails", "example_reports"

// Mail and Report are worked on in the same four slots.
type (
	Mail   struct{}
	Report struct{}
)

// Kind names this kind of job for ever.
func (Mail) Kind() string { return "mail" }

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

	enqueue := func(n int, args pgq.Args, queue string) (ids []int64, err error) {
		items := make([]pgq.Item, n)
		for i := range items {
			items[i] = pgq.Item{Args: args, Options: pgq.Options{Queue: queue}}
		}
		return q.EnqueueMany(ctx, pool, items)
	}
	ids, err := enqueue(3, Mail{}, mails)
	if err != nil {
		return err
	}
	more, err := enqueue(9, Report{}, reports)
	if err != nil {
		return err
	}

	w := worker.New(pool, worker.Config{
		Client: q, Concurrency: 4, Queues: worker.Queues{mails: {Weight: 3}, reports: {Weight: 1}},
	})
	var d desk
	worker.Handle(w, func(context.Context, *pgq.Job[Mail]) error { d.work("mails"); return nil })
	worker.Handle(w, func(context.Context, *pgq.Job[Report]) error { d.work("reports"); return nil })
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	for _, id := range append(ids, more...) {
		if _, err := q.AwaitFinished(ctx, pool, id); err != nil {
			return err
		}
	}
	stop()
	return <-ended
}

// desk has work done four at a time, and tells of what.
type desk struct {
	mu     sync.Mutex
	counts map[string]int
	n      int
	full   chan struct{}
}

// work returns when four work.
func (d *desk) work(what string) {
	d.mu.Lock()
	if d.n == 0 {
		d.counts, d.full = map[string]int{}, make(chan struct{})
	}
	d.counts[what]++
	d.n++
	full := d.full
	if d.n == 4 {
		fmt.Printf("at a time: %d mails, %d reports\n", d.counts["mails"], d.counts["reports"])
		d.n = 0
		close(full)
	}
	d.mu.Unlock()
	<-full
}
