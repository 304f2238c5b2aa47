package main

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The names of the systems, as in the results.
const (
	pgqName   = "pgq"
	riverName = "river"
	floorName = "floor"
)

// A system is something that jobs can be written to. It holds settings and no connection, so one value serves any number
// of databases.
type system interface {
	// name is the column of the results that the system's figures belong to.
	name() string

	// variant tells apart several ways to use one system, of which the best counts. Empty if there is only one.
	variant() string

	// migrate prepares the empty database at the URL.
	migrate(ctx context.Context, url string) error

	// enqueueMany writes the jobs in the fastest way the system offers, and returns when they are committed.
	enqueueMany(ctx context.Context, pool *pgxpool.Pool, jobs []noop) error

	// enqueueTx writes one job in the caller's transaction.
	enqueueTx(ctx context.Context, tx pgx.Tx, job noop) error
}

// A queue is a system that can also work its jobs.
type queue interface {
	system

	// submit writes a DAG in one transaction. ended is how to ask the database whether it has ended.
	submit(ctx context.Context, pool *pgxpool.Pool, g graph) (ended probe, err error)

	// startWorkers starts one worker process's worth of workers. stop takes no more jobs, cancels the contexts of handlers
	// that still run, and returns when they have ended and nothing of the worker is left.
	startWorkers(ctx context.Context, pool *pgxpool.Pool, w workers) (stop func() error, err error)

	// drained reports whether no job is left that waits or runs.
	drained(ctx context.Context, db *pgx.Conn) (bool, error)

	// completed counts the jobs that were worked and whose completion is committed.
	completed(ctx context.Context, db *pgx.Conn) (int, error)
}

// systemNames are all there are, in the order in which they take turns.
var systemNames = []string{pgqName, riverName, floorName}

// newQueue returns the queue of that name.
func newQueue(name string) queue {
	if name == riverName {
		return newRiver(riverInsertBatch)
	}
	return newPGQ()
}

// workers says what a worker process should look like.
type workers struct {
	// slots is how many handlers may run at the same time, in each queue.
	slots int

	// queues are the names of the queues to work. Empty means the system's default queue, to which jobs are enqueued.
	queues []string

	// defaults asks for the system's default settings in place of those for the highest throughput.
	defaults bool

	// handle is the body of every handler. It gets the number of the job.
	handle func(ctx context.Context, num int)
}

// noop is the job that all systems are measured with.
type noop struct {
	Num int `json:"num"`
}

// Kind implements the argument interfaces of PGQ and of River.
func (noop) Kind() string { return "bench_noop" }

// noops returns n jobs, numbered from first.
func noops(first, n int) []noop {
	jobs := make([]noop, n)
	for i := range jobs {
		jobs[i].Num = first + i
	}
	return jobs
}
