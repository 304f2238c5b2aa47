package main

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// A sequenceQueue is PGQ whose jobs are dealt out to so many sequences.
type sequenceQueue struct {
	pgqQueue
	sequences int
}

func (s sequenceQueue) enqueueMany(ctx context.Context, pool *pgxpool.Pool, jobs []noop) error {
	items := make([]pgq.Item, len(jobs))
	for i, job := range jobs {
		items[i] = pgq.Item{Args: job, Options: pgq.Options{Sequence: strconv.Itoa(job.Num % s.sequences)}}
	}
	_, err := s.client.EnqueueMany(ctx, pool, items)
	return err
}

// jobsPerSequence is how many jobs are in each sequence, at the most.
const jobsPerSequence = 1000

// sequenceCells let jobs run one after the other in one sequence, and in ten at once.
func sequenceCells(b *bench) []cell {
	if !b.has(pgqName) {
		return nil
	}
	var cells []cell
	for _, sequences := range []int{1, 10} {
		q := sequenceQueue{newPGQ(), sequences}
		p := params{{"sequences", sequences}, {"n", sequences * min(jobsPerSequence, b.n)}}
		cells = append(cells, cell{label(q, p), func(ctx context.Context) ([]sample, error) {
			return b.hops(ctx, q, p)
		}})
	}
	return cells
}

// hops measures the time from the start of a handler, which returns at once, to the start of that of the next job of its sequence.
func (b *bench) hops(ctx context.Context, q sequenceQueue, p params) (samples []sample, err error) {
	db, err := b.fresh(ctx, q)
	if err != nil {
		return nil, err
	}
	defer db.closeInto(ctx, &err)
	jobs := make([]noop, q.sequences*min(jobsPerSequence, b.n))
	for i := range jobs {
		jobs[i].Num = i
	}
	if err := q.enqueueMany(ctx, db.pool, jobs); err != nil {
		return nil, err
	}
	b.server.checkpoint(ctx)
	began, started := time.Now(), make([]atomic.Int64, len(jobs))
	var handled tally
	stop, err := q.startWorkers(ctx, db.pool, workers{slots: latencySlots, handle: func(_ context.Context, num int) {
		started[num].Store(int64(time.Since(began)))
		handled.Add(1)
	}})
	if err != nil {
		return nil, err
	}
	defer stopInto(stop, &err)
	if err := handled.await(ctx, len(jobs)); err != nil {
		return nil, err
	}
	var milliseconds []float64
	for num := q.sequences; num < len(jobs); num++ {
		hop := started[num].Load() - started[num-q.sequences].Load()
		milliseconds = append(milliseconds, float64(hop)/float64(time.Millisecond))
	}
	return []sample{
		{system: q.name(), metric: p50Milliseconds, params: p, value: percentile(milliseconds, 50)},
		{system: q.name(), metric: p99Milliseconds, params: p, value: percentile(milliseconds, 99)},
	}, nil
}
