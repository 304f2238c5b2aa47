package main

import (
	"context"
	"time"
)

// drainSlots is the number of concurrent handlers of River's own benchmark.
const drainSlots = 2_000

func drainCells(b *bench) []cell {
	p := params{{"n", b.n}, {"workers", drainSlots}}
	var cells []cell
	for _, q := range b.queues() {
		cells = append(cells, cell{label(q, p), func(ctx context.Context) ([]sample, error) {
			return b.drain(ctx, q, p)
		}})
	}
	return cells
}

// drain measures how fast n preloaded jobs are worked, and how much WAL a job has caused from its enqueueing to the end.
func (b *bench) drain(ctx context.Context, q queue, p params) (samples []sample, err error) {
	db, err := b.fresh(ctx, q)
	if err != nil {
		return nil, err
	}
	defer db.closeInto(ctx, &err)
	// Once, before the jobs: a checkpoint between enqueueing and draining would add full images of all their pages.
	b.server.checkpoint(ctx)
	walBefore, err := b.server.walPosition(ctx)
	if err != nil {
		return nil, err
	}
	if err := q.enqueueMany(ctx, db.pool, noops(0, b.n)); err != nil {
		return nil, err
	}

	var handled tally
	start := time.Now()
	stop, err := q.startWorkers(ctx, db.pool, workers{
		slots:  drainSlots,
		handle: func(context.Context, int) { handled.Add(1) },
	})
	if err != nil {
		return nil, err
	}
	defer stopInto(stop, &err)
	end, err := db.awaitDrained(ctx, q, &handled, b.n)
	if err != nil {
		return nil, err
	}
	walAfter, err := b.server.walPosition(ctx)
	if err != nil {
		return nil, err
	}
	if err := db.verifyCompleted(ctx, q, b.n); err != nil {
		return nil, err
	}
	return []sample{
		{system: q.name(), metric: jobsPerSecond, params: p, value: perSecond(b.n, end.Sub(start))},
		{system: q.name(), metric: walBytesPerJob, params: p, value: float64(walAfter-walBefore) / float64(b.n)},
	}, nil
}
