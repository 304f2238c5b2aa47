package main

import (
	"context"
	"errors"
	"time"
)

// pinnedRound is the number of jobs that are enqueued and drained in turns.
const pinnedRound = 20_000

func pinnedCells(b *bench) []cell {
	p := params{{"round", min(pinnedRound, b.n)}, {"workers", drainSlots}, {"duration", b.duration.String()}}
	var cells []cell
	for _, q := range b.queues() {
		cells = append(cells, cell{label(q, p), func(ctx context.Context) ([]sample, error) {
			unpinned, err := b.sustain(ctx, q, false)
			if err != nil {
				return nil, err
			}
			pinned, err := b.sustain(ctx, q, true)
			if err != nil {
				return nil, err
			}
			return []sample{
				{system: q.name(), metric: jobsPerSecond, params: p.with("pinned", false), value: unpinned},
				{system: q.name(), metric: jobsPerSecond, params: p.with("pinned", true), value: pinned},
				{system: q.name(), metric: pinnedRatio, params: p, value: pinned / unpinned},
			}, nil
		}})
	}
	return cells
}

// sustain measures how many jobs per second are enqueued and drained in rounds, for the duration of the options, and, if
// it should be pinned, in the presence of a snapshot from before the first job: nothing that the rounds leave behind
// can be vacuumed away then.
func (b *bench) sustain(ctx context.Context, q queue, pinned bool) (rate float64, err error) {
	db, err := b.fresh(ctx, q)
	if err != nil {
		return 0, err
	}
	defer db.closeInto(ctx, &err)
	if pinned {
		unpin, pinErr := db.pin(ctx)
		if pinErr != nil {
			return 0, pinErr
		}
		defer func() { err = errors.Join(err, unpin()) }()
	}
	var handled tally
	stop, err := q.startWorkers(ctx, db.pool, workers{
		slots:  drainSlots,
		handle: func(context.Context, int) { handled.Add(1) },
	})
	if err != nil {
		return 0, err
	}
	defer stopInto(stop, &err)
	b.server.checkpoint(ctx)

	start, jobs := time.Now(), 0
	for time.Since(start) < b.duration {
		round := min(pinnedRound, b.n)
		if err := q.enqueueMany(ctx, db.pool, noops(jobs, round)); err != nil {
			return 0, err
		}
		jobs += round
		// Asking the database after each round would be dear while it cannot be vacuumed.
		if err := handled.await(ctx, jobs); err != nil {
			return 0, err
		}
	}
	end, err := db.awaitEnded(ctx, q.drained, &handled, jobs)
	if err != nil {
		return 0, err
	}
	if err := db.verifyCompleted(ctx, q, jobs); err != nil {
		return 0, err
	}
	return perSecond(jobs, end.Sub(start)), nil
}

// pin opens a transaction that keeps its snapshot until unpin is called.
func (d *database) pin(ctx context.Context) (unpin func() error, err error) {
	conn, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	unpin = func() error { return conn.Close(context.WithoutCancel(ctx)) }
	for _, statement := range []string{"begin isolation level repeatable read", "select 1"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, errors.Join(err, unpin())
		}
	}
	return unpin, nil
}
