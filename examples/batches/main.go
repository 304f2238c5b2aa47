// Batches imports files in a batch: a job finds them and adds a job for each, some of which fail; callbacks tell of the first failure, and of the end.
// The batch is then retried, and a batch of batches waits for two.
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

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// List asks for the files of a folder to be found.
type List struct {
	Folder string `json:"folder"`
	Files  int    `json:"files"`
}

// Kind names this kind of job for ever.
func (List) Kind() string { return "list" }

// Load asks for a file to be loaded.
type Load struct {
	File int `json:"file"`
}

// Kind names this kind of job for ever.
func (Load) Kind() string { return "load" }

// Tell asks for somebody to be told of a batch.
type Tell struct {
	What string `json:"what"`
}

// Kind names this kind of job for ever.
func (Tell) Kind() string { return "tell" }

const queue = "example_batches"

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
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- newWorker(pool).Run(ctx) }()
	err = errors.Join(folder(ctx, q, pool), days(ctx, q, pool))
	stop()
	return errors.Join(err, <-ended)
}

func newWorker(pool *pgxpool.Pool) *worker.Worker {
	w := worker.New(pool, worker.Config{
		Queues: worker.Queues{queue: {Concurrency: 4}},
		Logger: slog.New(slog.DiscardHandler), // what fails here is told by the callbacks
	})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[List]) error {
		files := make([]pgq.Item, job.Args.Files)
		for n := range files {
			files[n] = pgq.Item{Args: Load{File: n}, Options: pgq.Options{MaxAttempts: 1}}
		}
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := dagsql.AddToBatch(ctx, tx, job.Attempt, files...); err != nil {
				return err
			}
			return job.Complete(ctx, tx, nil)
		})
	})
	var broken atomic.Bool
	broken.Store(true)
	worker.Handle(w, func(_ context.Context, job *pgq.Job[Load]) error {
		if job.Args.File == 3 && broken.Swap(false) {
			return errors.New("the disk is full")
		}
		return nil
	})
	worker.Handle(w, func(ctx context.Context, job *pgq.Job[Tell]) error {
		b, err := dagsql.NewClient(job.Client()).Batch(ctx, pool, job.DAGID)
		if err == nil {
			fmt.Printf("%s: %s\n", b.Name, job.Args.What)
		}
		return err
	})
	return w
}

// folder imports what a job finds: the batch is closed from the beginning, but its own jobs may add others.
func folder(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) error {
	d := dagsql.NewClient(q)
	b := dagsql.NewBatch("import", dagsql.BatchOptions{Queue: queue})
	b.Add(List{Folder: "in", Files: 10})
	b.OnFailure(Tell{"a file could not be loaded"})
	b.OnSuccess(Tell{"all files are loaded"})
	batch, err := d.SubmitBatch(ctx, pool, b)
	if err != nil {
		return err
	}
	if _, err := d.Await(ctx, pool, batch.ID); err != nil {
		return err
	}
	if err := show(ctx, d, pool, batch.ID); err != nil {
		return err
	}
	if _, err := d.RetryBatch(ctx, pool, batch.ID); err != nil {
		return err
	}
	if _, err := d.Await(ctx, pool, batch.ID); err != nil {
		return err
	}
	return show(ctx, d, pool, batch.ID)
}

// days fills two open batches, which a third one waits for.
func days(ctx context.Context, q *pgq.Client, pool *pgxpool.Pool) error {
	d := dagsql.NewClient(q)
	week := dagsql.NewBatch("week", dagsql.BatchOptions{Queue: queue, Deadline: time.Hour})
	week.OnDone(Tell{"both days are there"})
	var open []int64
	for range 2 {
		day, err := d.SubmitBatch(ctx, pool, dagsql.NewBatch("day", dagsql.BatchOptions{Queue: queue, Open: true}))
		if err != nil {
			return err
		}
		week.Nest(day.ID)
		open = append(open, day.ID)
	}
	all, err := d.SubmitBatch(ctx, pool, week)
	if err != nil {
		return err
	}
	for _, day := range open {
		if _, err := d.AddToBatch(ctx, pool, day, pgq.Item{Args: Load{File: 1}}, pgq.Item{Args: Load{File: 2}}); err != nil {
			return err
		}
		if _, err := d.CloseBatch(ctx, pool, day); err != nil {
			return err
		}
	}
	if _, err := d.Await(ctx, pool, all.ID); err != nil {
		return err
	}
	return show(ctx, d, pool, all.ID)
}

func show(ctx context.Context, d *dagsql.Client, pool *pgxpool.Pool, id int64) error {
	b, err := d.Batch(ctx, pool, id)
	if err == nil {
		fmt.Printf("%s is %s: %d of %d, %d failed\n", b.Name, b.State, b.Done, b.Total, b.Failed)
	}
	return err
}
