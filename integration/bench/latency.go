package main

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

const (
	latencyRate   = 50 // jobs per second, on average
	latencySlots  = 100
	latencyWarmUp = 25 // jobs whose latency does not count
)

func latencyCells(b *bench) []cell {
	p := params{{"jobs_per_second", latencyRate}, {"n", b.pacing.latencyJobs}}
	var cells []cell
	for _, q := range b.queues() {
		cells = append(cells, cell{label(q, p), func(ctx context.Context) ([]sample, error) {
			return b.latency(ctx, q, p)
		}})
	}
	return cells
}

// latency measures the time from the return of an enqueuer's commit to the start of the handler. The jobs arrive in an
// open loop: none waits for another one's commit. The times between them are random, so that no poller can keep in step.
func (b *bench) latency(ctx context.Context, q queue, p params) (samples []sample, err error) {
	db, err := b.fresh(ctx, q)
	if err != nil {
		return nil, err
	}
	defer db.closeInto(ctx, &err)
	enqueuers, err := db.newPool(ctx, b.conns)
	if err != nil {
		return nil, err
	}
	defer enqueuers.Close()
	var (
		jobs      = latencyWarmUp + b.pacing.latencyJobs
		began     = time.Now()
		committed = make([]time.Duration, jobs) // since began
		started   = make([]atomic.Int64, jobs)  // since began
		handled   tally
	)
	stop, err := q.startWorkers(ctx, db.pool, workers{
		slots: latencySlots,
		handle: func(_ context.Context, num int) {
			started[num].Store(int64(time.Since(began)))
			handled.Add(1)
		},
	})
	if err != nil {
		return nil, err
	}
	defer stopInto(stop, &err)
	b.server.checkpoint(ctx)

	group, groupCtx := errgroup.WithContext(ctx)
	arrivals := rand.New(rand.NewPCG(1, 2)) // the same for both systems
	due := time.Now().Add(time.Second)      // the workers go to sleep
	for num := range jobs {
		due = due.Add(time.Duration(arrivals.ExpFloat64() / latencyRate * float64(time.Second)))
		sleep(groupCtx, time.Until(due))
		group.Go(func() error {
			err := pgx.BeginFunc(groupCtx, enqueuers, func(tx pgx.Tx) error {
				return q.enqueueTx(groupCtx, tx, noop{Num: num})
			})
			committed[num] = time.Since(began)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := handled.await(ctx, jobs); err != nil {
		return nil, err
	}
	var milliseconds []float64
	for num := latencyWarmUp; num < jobs; num++ {
		// A handler can start before the enqueuer has read the answer to its commit.
		waited := max(0, time.Duration(started[num].Load())-committed[num])
		milliseconds = append(milliseconds, float64(waited)/float64(time.Millisecond))
	}
	return []sample{
		{system: q.name(), metric: p50Milliseconds, params: p, value: percentile(milliseconds, 50)},
		{system: q.name(), metric: p99Milliseconds, params: p, value: percentile(milliseconds, 99)},
	}, nil
}
