package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// The settings of River's own benchmark, `river bench`.
const (
	riverFetchCooldown     = 2 * time.Millisecond
	riverFetchPollInterval = 20 * time.Millisecond
	riverInsertBatch       = 5_000
)

// riverQueue is River, https://riverqueue.com.
type riverQueue struct {
	// inserter is a client without a pool: it writes in the transactions that it is given.
	inserter *river.Client[pgx.Tx]

	// batch is the number of jobs per call of InsertManyFast; 0 means all in one call.
	batch int

	opts *river.InsertOpts // of the jobs of enqueueMany
}

var _ queue = (*riverQueue)(nil)

// newRiver returns River, enqueueing in batches of this many jobs; 0 means all in one call.
func newRiver(batch int) *riverQueue {
	inserter, err := river.NewClient(riverpgxv5.New(nil), &river.Config{
		FetchCooldown:     riverFetchCooldown,
		FetchPollInterval: riverFetchPollInterval,
		Logger:            riverLogger(),
	})
	if err != nil {
		panic(err) // the settings above are refused
	}
	return &riverQueue{inserter: inserter, batch: batch}
}

// newUniqueRiver returns River whose jobs are all to be unique by their args, in the states that its open edition prescribes.
func newUniqueRiver() *riverQueue {
	r := newRiver(riverInsertBatch)
	r.opts = &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}}
	return r
}

func (r *riverQueue) name() string { return riverName }

func (r *riverQueue) variant() string {
	if r.batch == 0 {
		return "one call"
	}
	return fmt.Sprintf("batches of %d", r.batch)
}

func (r *riverQueue) migrate(ctx context.Context, url string) error {
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: riverLogger()})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	_, err = pool.Exec(ctx, riverNodes)
	return err
}

func (r *riverQueue) enqueueMany(ctx context.Context, pool *pgxpool.Pool, jobs []noop) error {
	batch := r.batch
	if batch == 0 {
		batch = len(jobs)
	}
	for part := range slices.Chunk(jobs, batch) {
		params := make([]river.InsertManyParams, len(part))
		for i, job := range part {
			params[i].Args, params[i].InsertOpts = job, r.opts
		}
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			_, err := r.inserter.InsertManyFastTx(ctx, tx, params)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *riverQueue) enqueueTx(ctx context.Context, tx pgx.Tx, job noop) error {
	_, err := r.inserter.InsertTx(ctx, tx, job, nil)
	return err
}

func (r *riverQueue) startWorkers(ctx context.Context, pool *pgxpool.Pool, w workers) (func() error, error) {
	registry := river.NewWorkers()
	river.AddWorker(registry, river.WorkFunc(func(ctx context.Context, job *river.Job[noop]) error {
		w.handle(ctx, job.Args.Num)
		return nil
	}))
	workNode := r.workNode(pool)
	river.AddWorker(registry, river.WorkFunc(func(ctx context.Context, job *river.Job[riverNode]) error {
		w.handle(ctx, job.Args.num())
		return workNode(ctx, job)
	}))
	config := &river.Config{
		Logger:  riverLogger(),
		Queues:  map[string]river.QueueConfig{},
		Workers: registry,
	}
	if !w.defaults {
		config.FetchCooldown = riverFetchCooldown
		config.FetchPollInterval = riverFetchPollInterval
	}
	queues := w.queues
	if len(queues) == 0 {
		queues = []string{river.QueueDefault}
	}
	for _, name := range queues {
		config.Queues[name] = river.QueueConfig{MaxWorkers: w.slots}
	}
	client, err := river.NewClient(riverpgxv5.New(pool), config)
	if err != nil {
		return nil, err
	}
	if err := client.Start(ctx); err != nil {
		return nil, err
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		return client.StopAndCancel(ctx)
	}, nil
}

func (r *riverQueue) drained(ctx context.Context, db *pgx.Conn) (bool, error) {
	var drained bool
	err := db.QueryRow(ctx, `
		select not exists (select from river_job where state = 'available')
		   and not exists (select from river_job where state = 'running')
		   and not exists (select from river_job where state = 'retryable')
		   and not exists (select from river_job where state = 'scheduled')`).Scan(&drained)
	return drained, err
}

func (r *riverQueue) completed(ctx context.Context, db *pgx.Conn) (int, error) {
	var n int
	err := db.QueryRow(ctx, `select count(*) from river_job where state = 'completed'`).Scan(&n)
	return n, err
}

// riverLogger drops what River says about handlers that are cancelled when a measurement ends.
func riverLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }
