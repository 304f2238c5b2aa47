// Progress runs a long job that says how far it is and what it does. A second process watches and cancels it.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// Export asks to export all rows.
type Export struct{}

// Kind names this kind of job for ever.
func (Export) Kind() string { return "export" }

const queue, rows = "example_progress", 1000

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
	if len(os.Args) == 3 && os.Args[1] == "watch" {
		return watch(ctx, pool, os.Args[2])
	}
	return work(ctx, pool)
}

// work runs the job in this process, while another one watches it.
func work(ctx context.Context, pool *pgxpool.Pool) error {
	q := pgq.New(pgq.Config{})
	w := worker.New(pool, worker.Config{
		Client: q, Queues: worker.Queues{queue: {}}, Logger: slog.New(slog.DiscardHandler),
		Heartbeat: 200 * time.Millisecond, // with which it hears that a job was cancelled
	})
	worker.Handle(w, export)
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(working) }()
	defer func() { stop(); <-ended }()

	job, err := q.Enqueue(ctx, pool, Export{}, pgq.Options{Queue: queue})
	if err != nil {
		return err
	}
	other := exec.CommandContext(ctx, os.Args[0], "watch", fmt.Sprint(job.ID))
	other.Stdout, other.Stderr = os.Stdout, os.Stderr
	return other.Run()
}

// export reports its progress and stops when its context is cancelled.
func export(ctx context.Context, job *pgq.Job[Export]) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for row := range int64(rows) {
		if err := job.Progress(ctx, row, rows); err != nil && ctx.Err() == nil {
			return err
		}
		worker.Logger(ctx).Info("exported a row", "row", row)
		select {
		case <-ctx.Done():
			fmt.Println("worker: stopping because", context.Cause(ctx))
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// watch waits until five rows are done, cancels the job, and awaits its end.
func watch(ctx context.Context, pool *pgxpool.Pool, id string) error {
	job, err := strconv.ParseInt(id, 10, 64)
	q := pgq.New(pgq.Config{})
	for ; err == nil; time.Sleep(20 * time.Millisecond) {
		info, getErr := q.Get(ctx, pool, job)
		lines, logsErr := q.Logs(ctx, pool, job, 0)
		if err := errors.Join(getErr, logsErr); err != nil {
			return err
		}
		if info.Done == nil || *info.Done < 5 || len(lines) == 0 {
			continue
		}
		fmt.Printf("watcher: 5 of %d rows are done, it says %q; cancelling\n", *info.Total, lines[0].Message)
		if _, err := q.Cancel(ctx, pool, "seen enough", job); err != nil {
			return err
		}
		if info, err = q.AwaitFinished(ctx, pool, job); err == nil {
			fmt.Println("watcher: the job is", info.State)
		}
		return err
	}
	return err
}
