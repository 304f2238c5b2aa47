package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
	"github.com/pgq-go/queue/pgq/migrations"
	"github.com/pgq-go/queue/worker"
)

// pgqQueue is PGQ.
type pgqQueue struct{ client *pgq.Client }

var _ queue = pgqQueue{}

func newPGQ() pgqQueue { return pgqQueue{client: pgq.New(pgq.Config{})} }

// newSilentPGQ returns PGQ whose enqueuers send no notifications: what they cost shows in comparison.
func newSilentPGQ() pgqQueue { return pgqQueue{client: pgq.New(pgq.Config{NoNotify: true})} }

func (pgqQueue) name() string    { return pgqName }
func (pgqQueue) variant() string { return "" }

func (pgqQueue) migrate(ctx context.Context, url string) error {
	return migrations.Up(ctx, url, migrations.Options{})
}

func (p pgqQueue) enqueueMany(ctx context.Context, pool *pgxpool.Pool, jobs []noop) error {
	items := make([]pgq.Item, len(jobs))
	for i, job := range jobs {
		items[i].Args = job
	}
	_, err := p.client.EnqueueMany(ctx, pool, items)
	return err
}

func (p pgqQueue) enqueueTx(ctx context.Context, tx pgx.Tx, job noop) error {
	_, err := p.client.Enqueue(ctx, tx, job, pgq.Options{})
	return err
}

func (p pgqQueue) startWorkers(ctx context.Context, pool *pgxpool.Pool, w workers) (func() error, error) {
	config := worker.Config{
		Client: p.client,
		Queues: worker.Queues{},
		Grace:  -1,
		Logger: slog.New(slog.DiscardHandler), // of handlers that are cancelled when a measurement ends
	}
	queues := w.queues
	if len(queues) == 0 {
		queues = []string{pgq.DefaultQueue}
	}
	for _, name := range queues {
		config.Queues[name] = worker.QueueConfig{Concurrency: w.slots}
	}
	process := worker.New(pool, config)
	worker.Handle(process, func(ctx context.Context, job *pgq.Job[noop]) error {
		w.handle(ctx, job.Args.Num)
		return nil
	})
	worker.Handle(process, func(context.Context, *pgq.Job[broken]) error { return errBroken })
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- process.Run(ctx) }()
	return func() error {
		cancel()
		select {
		case err := <-ended:
			return err
		case <-time.After(stopTimeout):
			return errors.New("worker.Run does not return")
		}
	}, nil
}

func (pgqQueue) drained(ctx context.Context, db *pgx.Conn) (bool, error) {
	var drained bool
	err := db.QueryRow(ctx, `
		select not exists (select from pgq.ready)
		   and not exists (select from pgq.running)
		   and not exists (select from pgq.scheduled)`).Scan(&drained)
	return drained, err
}

func (pgqQueue) completed(ctx context.Context, db *pgx.Conn) (int, error) {
	var n int
	err := db.QueryRow(ctx, `select count(*) from pgq.results where state = 'completed' and worker_id is not null`).Scan(&n)
	return n, err
}
