package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// A groupQueue is PGQ whose jobs belong to groups.
type groupQueue struct {
	pgqQueue
	options func(noop) pgq.Options
}

func (g groupQueue) enqueueMany(ctx context.Context, pool *pgxpool.Pool, jobs []noop) error {
	items := make([]pgq.Item, len(jobs))
	for i, job := range jobs {
		items[i] = pgq.Item{Args: job, Options: g.options(job)}
	}
	_, err := g.client.EnqueueMany(ctx, pool, items)
	return err
}

// backlogCells drain a queue while no jobs, or very many, of another one wait behind a limit of one.
func backlogCells(b *bench) []cell {
	if !b.has(pgqName) {
		return nil
	}
	var cells []cell
	n := 5 * b.n // a drain of seconds: what vacuum and the kernel do besides comes and goes
	for _, backlog := range []int{0, b.pacing.backlogJobs} {
		q, p := newPGQ(), params{{"n", n}, {"backlog", backlog}}
		cells = append(cells, cell{label(q, p), func(ctx context.Context) ([]sample, error) {
			jobs := plain(q, n)
			load := jobs.load
			jobs.load = func(ctx context.Context, pool *pgxpool.Pool) (probe, error) {
				if err := limitedBacklog(ctx, q, pool, backlog); err != nil {
					return nil, err
				}
				// The backlog is one that stands: what loading it has left to do for vacuum and checkpoint is not measured.
				if _, err := pool.Exec(ctx, "vacuum analyze"); err != nil {
					return nil, err
				}
				b.server.checkpoint(ctx)
				return load(ctx, pool)
			}
			took, _, err := b.work(ctx, q, jobs)
			if err != nil {
				return nil, err
			}
			return []sample{{system: q.name(), metric: jobsPerSecond, params: p, value: perSecond(n, took)}}, nil
		}})
	}
	return cells
}

// limitedBacklog adds n jobs of one group of which one may run at a time.
func limitedBacklog(ctx context.Context, q pgqQueue, pool *pgxpool.Pool, n int) error {
	if n == 0 {
		return nil
	}
	if err := q.client.SetLimit(ctx, pool, pgq.OfGroup("slow"), pgq.Limit{MaxRunning: 1}); err != nil {
		return err
	}
	slow := groupQueue{q, func(noop) pgq.Options { return pgq.Options{Queue: "limited", Group: "slow"} }}
	return slow.enqueueMany(ctx, pool, noops(0, n))
}

// groupsCells drain a queue whose jobs are of one group, of many and of very many, without a limit and with one of each group.
func groupsCells(b *bench) []cell {
	if !b.has(pgqName) {
		return nil
	}
	var cells []cell
	for _, c := range []struct{ groups, maxRunning int }{{1, 0}, {1_000, 0}, {20_000, 0}, {1_000, 1}, {20_000, 1}} {
		q := groupQueue{newPGQ(), func(job noop) pgq.Options { return pgq.Options{Group: fmt.Sprint("g", job.Num%c.groups)} }}
		p := params{{"n", b.n}, {"groups", c.groups}, {"max_running", c.maxRunning}}
		cells = append(cells, cell{label(q, p), func(ctx context.Context) ([]sample, error) {
			jobs := plain(q, b.n)
			load := jobs.load
			jobs.load = func(ctx context.Context, pool *pgxpool.Pool) (probe, error) {
				if c.maxRunning > 0 {
					if err := q.client.SetLimit(ctx, pool, pgq.OfGroup("*"), pgq.Limit{MaxRunning: c.maxRunning}); err != nil {
						return nil, err
					}
				}
				return load(ctx, pool)
			}
			took, _, err := b.work(ctx, q, jobs)
			if err != nil {
				return nil, err
			}
			return []sample{{system: q.name(), metric: jobsPerSecond, params: p, value: perSecond(b.n, took)}}, nil
		}})
	}
	return cells
}

const (
	smallTenant   = 1_000_000_000 // jobs with this number and above are those of the small tenant
	smallJobs     = 100
	fairnessSlots = 50
	fairnessWork  = 10 * time.Millisecond // of a handler
	fairnessTurns = 5                     // batches of the small tenant, of which the median counts
)

// fairnessCells measure how long the jobs of a small tenant take, alone and behind those of a big one.
func fairnessCells(b *bench) []cell {
	tenants := groupQueue{newPGQ(), func(job noop) pgq.Options {
		return pgq.Options{Group: fmt.Sprint("tenant ", job.Num/smallTenant)}
	}}
	var cells []cell
	for _, q := range []queue{tenants, newRiver(riverInsertBatch)} {
		if !b.has(q.name()) {
			continue
		}
		for _, others := range []int{0, b.pacing.manyNodes} {
			p := params{{"n", smallJobs}, {"others", others}}
			cells = append(cells, cell{label(q, p), func(ctx context.Context) ([]sample, error) { return b.fairness(ctx, q, others, p) }})
		}
	}
	return cells
}

func (b *bench) fairness(ctx context.Context, q queue, others int, p params) (samples []sample, err error) {
	db, err := b.fresh(ctx, q)
	if err != nil {
		return nil, err
	}
	defer db.closeInto(ctx, &err)
	if err := q.enqueueMany(ctx, db.pool, noops(0, others)); err != nil {
		return nil, err
	}
	var all, small tally
	stop, err := q.startWorkers(ctx, db.pool, workers{slots: fairnessSlots, handle: func(ctx context.Context, num int) {
		sleep(ctx, fairnessWork)
		if num >= smallTenant {
			small.Add(1)
		}
		all.Add(1)
	}})
	if err != nil {
		return nil, err
	}
	defer stopInto(stop, &err)
	if err := all.await(ctx, min(others, 4*fairnessSlots)); err != nil {
		return nil, err
	}
	var times []time.Duration
	for turn := 1; turn <= fairnessTurns; turn++ {
		start := time.Now()
		if err := q.enqueueMany(ctx, db.pool, noops(smallTenant, smallJobs)); err != nil {
			return nil, err
		}
		for int(small.Load()) < turn*smallJobs {
			if err := all.await(ctx, int(all.Load())+1); err != nil {
				return nil, err
			}
		}
		times = append(times, time.Since(start))
		if times[0] > time.Second {
			break // where turns are not taken the first batch has waited for all that was there
		}
	}
	slices.Sort(times)
	return []sample{{system: q.name(), metric: finishMilliseconds, params: p, value: milliseconds(times[len(times)/2])}}, nil
}
