package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// busySlots is the number of handlers of a worker process that is kept busy. A few are enough: none of them ever ends.
const busySlots = 16

// txClients are the numbers of concurrent enqueuers.
var txClients = []int{16, 64}

// load is what the workers do while jobs are enqueued.
type load string

const (
	none   load = ""       // there are no workers
	busy   load = "busy"   // all handlers are occupied
	asleep load = "asleep" // the workers wait for jobs and work them
)

func txCells(b *bench) []cell {
	var cells []cell
	add := func(s system, clients int, l load, p params) {
		cells = append(cells, cell{label(s, p), func(ctx context.Context) ([]sample, error) {
			return b.tx(ctx, s, clients, l, p)
		}})
	}
	for _, clients := range txClients {
		p := params{{"clients", clients}}
		for _, l := range []load{busy, asleep} {
			p := p.with("workers", string(l))
			for _, q := range b.queues() {
				add(q, clients, l, p.with("notify", "on"))
			}
			if l == busy && b.has(pgqName) {
				add(newSilentPGQ(), clients, l, p.with("notify", "off"))
			}
		}
		if b.has(floorName) {
			add(floor{}, clients, none, p)
		}
	}
	return cells
}

// tx measures how many transactions with one job each the clients commit.
func (b *bench) tx(ctx context.Context, s system, clients int, l load, p params) (samples []sample, err error) {
	db, err := b.fresh(ctx, s)
	if err != nil {
		return nil, err
	}
	defer db.closeInto(ctx, &err)
	if q, ok := s.(queue); ok && l != none {
		stop, err := startLoaded(ctx, db, q, l)
		if err != nil {
			return nil, err
		}
		defer stopInto(stop, &err)
	}
	pool, err := db.newPool(ctx, clients)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	b.server.checkpoint(ctx)
	rate, err := commitRate(ctx, s, pool, clients, b.pacing)
	if err != nil {
		return nil, err
	}
	return []sample{{system: s.name(), metric: jobsPerSecond, params: p, value: rate}}, nil
}

// startLoaded starts workers and returns when they are as busy as they should be.
func startLoaded(ctx context.Context, db *database, q queue, l load) (stop func() error, err error) {
	if l == asleep {
		return q.startWorkers(ctx, db.pool, workers{slots: drainSlots, handle: func(context.Context, int) {}})
	}
	// More jobs than handlers, so that the worker has none to look for.
	if err := q.enqueueMany(ctx, db.pool, noops(0, 10*busySlots)); err != nil {
		return nil, err
	}
	var running tally
	stop, err = q.startWorkers(ctx, db.pool, workers{
		slots: busySlots,
		handle: func(ctx context.Context, _ int) {
			running.Add(1)
			<-ctx.Done()
		},
	})
	if err != nil {
		return nil, err
	}
	if err := running.await(ctx, busySlots); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// commitRate lets the clients enqueue one job per transaction, each as fast as it can, and returns the commits per second
// of all, after a warm-up.
func commitRate(ctx context.Context, s system, pool *pgxpool.Pool, clients int, pacing pacing) (float64, error) {
	var (
		committed, numbers atomic.Int64
		finished           atomic.Bool
	)
	group, ctx := errgroup.WithContext(ctx)
	for range clients {
		group.Go(func() error {
			for !finished.Load() {
				err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					return s.enqueueTx(ctx, tx, noop{Num: int(numbers.Add(1))})
				})
				if err != nil {
					return err
				}
				committed.Add(1)
			}
			return nil
		})
	}
	sleep(ctx, pacing.txWarmUp)
	before, start := committed.Load(), time.Now()
	sleep(ctx, pacing.txWindow)
	after, elapsed := committed.Load(), time.Since(start)
	finished.Store(true)
	return perSecond(int(after-before), elapsed), group.Wait()
}

// sleep returns after the duration, or when the context ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
