package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

// idleSlots is the number of handlers per queue of a worker process without work.
const idleSlots = 100

// idleQueues are the numbers of queues to be idle on.
var idleQueues = []int{1, 20}

// idleCells returns one cell for all: processes that do nothing do not disturb each other, and waiting takes long.
func idleCells(b *bench) []cell {
	return []cell{{"all systems", func(ctx context.Context) ([]sample, error) {
		var (
			cells   []idleCell
			samples []sample
		)
		for _, queues := range idleQueues {
			for _, q := range b.queues() {
				cells = append(cells, idleCell{q: q, queues: queues})
			}
		}
		// One after the other: a template is made by the first that needs it.
		for i := range cells {
			db, err := b.fresh(ctx, cells[i].q)
			if err != nil {
				return nil, err
			}
			cells[i].db = db
			defer db.close(ctx)
		}
		var group errgroup.Group
		for i := range cells {
			group.Go(func() error { return cells[i].measure(ctx, b) })
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		for _, c := range cells {
			samples = append(samples, sample{system: c.q.name(), metric: queriesPerSecond, value: c.rate,
				params: params{{"queues", c.queues}, {"counted", b.server.counted()}}})
		}
		return samples, nil
	}}}
}

// idleCell is one idle worker process.
type idleCell struct {
	q      queue
	queues int
	db     *database
	rate   float64 // queries per second, measured
}

func (c *idleCell) measure(ctx context.Context, b *bench) (err error) {
	names := make([]string, c.queues)
	for i := range names {
		names[i] = fmt.Sprintf("queue_%d", i)
	}
	stop, err := c.q.startWorkers(ctx, c.db.pool, workers{
		slots:    idleSlots,
		queues:   names,
		defaults: true,
		handle:   func(context.Context, int) {},
	})
	if err != nil {
		return err
	}
	defer stopInto(stop, &err)
	sleep(ctx, b.pacing.idleSettle)
	before, err := b.server.queries(ctx, c.db.name)
	if err != nil {
		return err
	}
	start := time.Now()
	sleep(ctx, b.pacing.idleWindow)
	after, err := b.server.queries(ctx, c.db.name)
	c.rate = float64(after-before) / time.Since(start).Seconds()
	return err
}

// counted says what [server.queries] counts.
func (s *server) counted() string {
	if s.statements {
		return "statements"
	}
	return "transactions"
}

// queries returns how many statements have been run in the database, or, where pg_stat_statements is not to be had, how
// many transactions.
func (s *server) queries(ctx context.Context, database string) (int64, error) {
	query := `
		select coalesce(sum(calls), 0)::bigint
		from pg_stat_statements
		where dbid = (select oid from pg_database where datname = $1)`
	if !s.statements {
		query = `
			select xact_commit + xact_rollback
			from pg_stat_database
			where datname = $1`
	}
	var n int64
	err := s.admin.QueryRow(ctx, query, database).Scan(&n)
	return n, err
}
