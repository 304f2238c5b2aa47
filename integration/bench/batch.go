package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// usedNodes is the size of the DAG that a used database has worked before.
const usedNodes = 1_000

// A batch is jobs that are all there before a worker process is started to work them.
type batch struct {
	// jobs is how many of them a handler runs.
	jobs int

	// load writes the jobs. ended is how to ask the database whether all of them have ended.
	load func(ctx context.Context, pool *pgxpool.Pool) (ended probe, err error)

	// handle is the body of the handlers; it may be nil.
	handle func(num int)

	// pinned asks for a snapshot from before the first job that is held to the end, so that nothing that the jobs leave
	// behind can be vacuumed away.
	pinned bool

	// used asks for a database that has worked a DAG before, and been vacuumed and analyzed since. The planner thinks of it
	// what it thinks of a database that has been in use for some time: that no job waits, and that many are finished.
	used bool
}

// A probe asks the database a question.
type probe func(ctx context.Context, db *pgx.Conn) (bool, error)

// plain returns n jobs of the queue that wait for nothing.
func plain(q queue, n int) batch {
	return batch{jobs: n, load: func(ctx context.Context, pool *pgxpool.Pool) (probe, error) {
		return q.drained, q.enqueueMany(ctx, pool, noops(0, n))
	}}
}

// nodes returns the nodes of a DAG in the queue.
func nodes(q queue, g graph) batch {
	jobs := g.nodes
	if g.broken {
		jobs = 0
	}
	return batch{jobs: jobs, load: func(ctx context.Context, pool *pgxpool.Pool) (probe, error) {
		return q.submit(ctx, pool, g)
	}}
}

// work measures how long a batch takes, from the start of a worker process to the commit of the last completion, and how
// much WAL it has caused by then, its enqueueing included.
func (b *bench) work(ctx context.Context, q queue, batch batch) (took time.Duration, wal int64, err error) {
	db, err := b.fresh(ctx, q)
	if err != nil {
		return 0, 0, err
	}
	defer db.closeInto(ctx, &err)
	completed := batch.jobs
	if batch.used {
		first := layers(usedNodes)
		completed += first.nodes
		if err := db.use(ctx, q, first); err != nil {
			return 0, 0, err
		}
	}
	if batch.pinned {
		unpin, pinErr := db.pin(ctx)
		if pinErr != nil {
			return 0, 0, pinErr
		}
		defer func() { err = errors.Join(err, unpin()) }()
	}
	// Once, before the jobs: a checkpoint between enqueueing and draining would add full images of all their pages.
	b.server.checkpoint(ctx)
	walBefore, err := b.server.walPosition(ctx)
	if err != nil {
		return 0, 0, err
	}
	took, err = db.run(ctx, q, batch)
	if err != nil {
		return 0, 0, err
	}
	walAfter, err := b.server.walPosition(ctx)
	if err != nil {
		return 0, 0, err
	}
	return took, walAfter - walBefore, db.verifyCompleted(ctx, q, completed)
}

// run loads and works a batch, and returns how long it was worked.
func (d *database) run(ctx context.Context, q queue, batch batch) (took time.Duration, err error) {
	ended, err := batch.load(ctx, d.pool)
	if err != nil {
		return 0, err
	}
	var handled tally
	start := time.Now()
	stop, err := q.startWorkers(ctx, d.pool, workers{
		slots: drainSlots,
		handle: func(_ context.Context, num int) {
			if batch.handle != nil {
				batch.handle(num)
			}
			handled.Add(1)
		},
	})
	if err != nil {
		return 0, err
	}
	defer stopInto(stop, &err)
	end, err := d.awaitEnded(ctx, ended, &handled, batch.jobs)
	return end.Sub(start), err
}

// use works a DAG, then vacuums and analyzes the database.
func (d *database) use(ctx context.Context, q queue, g graph) error {
	if _, err := d.run(ctx, q, nodes(q, g)); err != nil {
		return err
	}
	_, err := d.observer.Exec(ctx, "vacuum analyze")
	return err
}
