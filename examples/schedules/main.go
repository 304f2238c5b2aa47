// Schedules declares when jobs are to run, in code, and watches one of them run three times, a second apart.
package main

import (
	"context"
	"encoding/json"
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

// Report asks for a report.
type Report struct {
	Of string `json:"of"`
}

// Kind names this kind of job for ever.
func (Report) Kind() string { return "report" }

const queue = "example_schedules"

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
	if err := declare(ctx, q, pool); err != nil {
		return err
	}
	if err := watch(ctx, q, pool); err != nil {
		return err
	}
	_, err = q.ReconcileSchedules(ctx, pool, "example", nil) // deletes what was declared
	return err
}

// declare makes the schedules in the database be those of this program.
func declare(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) error {
	outcomes, err := q.ReconcileSchedules(ctx, pool, "example", []pgq.Schedule{
		{
			Name: "daily sales", Spec: "30 7 * * MON-FRI", Zone: "Europe/Berlin",
			Args: Report{Of: "sales"}, Options: pgq.Options{Queue: queue},
			Jitter: time.Minute, Missed: pgq.MissedSkip,
		},
		{
			Name: "pulse", Spec: "every 1 second", MaxRuns: 3,
			Args: Report{Of: "pulse"}, Options: pgq.Options{Queue: queue},
			Overlap: pgq.OverlapAllow,
		},
	})
	for _, o := range outcomes {
		fmt.Printf("%s: %s\n", o.Name, o.Outcome)
	}
	return err
}

// watch runs a worker until the schedule with three runs has had them.
func watch(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) error {
	due := make(chan time.Time)
	w := worker.New(pool, worker.Config{
		Client: q, Queues: worker.Queues{queue: {Concurrency: 1}},
		Logger: slog.New(slog.DiscardHandler),
	})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[Report]) error {
		var of struct {
			Schedule string    `json:"schedule"`
			DueAt    time.Time `json:"due_at"`
		}
		if err := json.Unmarshal(job.Metadata, &of); err != nil {
			return pgq.Permanent(err)
		}
		if of.Schedule == "pulse" {
			due <- of.DueAt
		}
		return nil
	})
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	first := <-due
	fmt.Println("the first run")
	for range 2 {
		fmt.Println("another one second later:", (<-due).Equal(first.Add(time.Second)))
		first = first.Add(time.Second)
	}
	stop()
	if err := <-ended; err != nil {
		return err
	}
	state, err := q.Schedule(ctx, pool, "pulse")
	fmt.Printf("pulse has %s after %d runs\n", state.State, state.Runs)
	return err
}
