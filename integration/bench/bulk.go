package main

import (
	"context"
	"strings"
	"time"
)

func bulkCells(b *bench) []cell {
	var systems []system
	for _, q := range b.queues() {
		systems = append(systems, q)
	}
	if b.has(riverName) {
		systems = append(systems, newRiver(0))
	}
	if b.has(floorName) {
		systems = append(systems, floor{})
	}
	p := params{{"n", b.n}}
	var cells []cell
	for _, s := range systems {
		cells = append(cells, cell{strings.TrimSpace(label(s, p) + " " + s.variant()), func(ctx context.Context) ([]sample, error) {
			return b.bulk(ctx, s, p)
		}})
	}
	return cells
}

// bulk measures how fast n jobs are enqueued in one go.
func (b *bench) bulk(ctx context.Context, s system, p params) (samples []sample, err error) {
	db, err := b.fresh(ctx, s)
	if err != nil {
		return nil, err
	}
	defer db.closeInto(ctx, &err)
	// The first transaction of a connection pays for its caches.
	if err := s.enqueueMany(ctx, db.pool, noops(0, 1)); err != nil {
		return nil, err
	}
	jobs := noops(1, b.n)
	b.server.checkpoint(ctx)

	start := time.Now()
	if err := s.enqueueMany(ctx, db.pool, jobs); err != nil {
		return nil, err
	}
	elapsed := time.Since(start)
	return []sample{{system: s.name(), variant: s.variant(), metric: jobsPerSecond, params: p, value: perSecond(b.n, elapsed)}}, nil
}

func perSecond(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }
