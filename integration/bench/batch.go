package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

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
}

// A probe asks the database a question.
type probe func(ctx context.Context, db *pgx.Conn) (bool, error)

// plain returns n jobs of the queue that wait for nothing.
func plain(q queue, n int) batch {
	return batch{jobs: n, load: func(ctx context.Context, pool *pgxpool.Pool) (probe, error) {
		return q.drained, q.enqueueMany(ctx, pool, noops(0, n))
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
	ended, err := batch.load(ctx, db.pool)
	if err != nil {
		return 0, 0, err
	}

	var handled tally
	start := time.Now()
	stop, err := q.startWorkers(ctx, db.pool, workers{
		slots: drainSlots,
		handle: func(_ context.Context, num int) {
			if batch.handle != nil {
				batch.handle(num)
			}
			handled.Add(1)
		},
	})
	if err != nil {
		return 0, 0, err
	}
	defer stopInto(stop, &err)
	end, err := db.awaitEnded(ctx, ended, &handled, batch.jobs)
	if err != nil {
		return 0, 0, err
	}
	walAfter, err := b.server.walPosition(ctx)
	if err != nil {
		return 0, 0, err
	}
	return end.Sub(start), walAfter - walBefore, db.verifyCompleted(ctx, q, batch.jobs)
}
