package main

import (
	"context"
	"sync/atomic"
	"time"
)

func chainCells(b *bench) []cell { return b.dagCells(b.queues(), chain(b.pacing.chainNodes)) }

func fanOutCells(b *bench) []cell {
	g := fanOut(b.pacing.manyNodes)
	return append(b.dagCells(b.queues(), g), b.referenceCells(layers(g.nodes))...)
}

func fanInCells(b *bench) []cell {
	g := fanIn(b.pacing.nodes)
	return append(b.dagCells(b.queues(), g), b.referenceCells(layers(g.nodes))...)
}

func layersCells(b *bench) []cell {
	return append(b.dagCells(b.queues(), layers(b.pacing.nodes)), b.referenceCells(wideLayers(b.pacing.nodes))...)
}

// skipCells measures PGQ alone: a DAG written by hand has no skips.
func skipCells(b *bench) []cell {
	if !b.has(pgqName) {
		return nil
	}
	return b.dagCells([]queue{newPGQ()}, brokenLayers(b.pacing.manyNodes))
}

// dagCells returns the cells of a scenario that works one DAG: with and without a pinned snapshot in each queue, and as
// many plain jobs of PGQ as the floor.
func (b *bench) dagCells(queues []queue, g graph) []cell {
	p := graphParams(g)
	var cells []cell
	for _, q := range queues {
		cells = append(cells, cell{label(q, p), func(ctx context.Context) ([]sample, error) {
			samples, took, err := b.dag(ctx, q, g, false)
			if err != nil {
				return nil, err
			}
			pinnedSamples, tookPinned, err := b.dag(ctx, q, g, true)
			if err != nil {
				return nil, err
			}
			samples = append(samples, pinnedSamples...)
			return append(samples, sample{system: q.name(), metric: pinnedRatio, params: p, value: took.Seconds() / tookPinned.Seconds()}), nil
		}})
	}
	if b.has(floorName) {
		p := params{{"pinned", false}}
		cells = append(cells, cell{"plain jobs", func(ctx context.Context) ([]sample, error) {
			q := newPGQ()
			batch := plain(q, g.nodes)
			batch.used = true
			took, wal, err := b.work(ctx, q, batch)
			if err != nil {
				return nil, err
			}
			return []sample{
				{system: floorName, metric: microsecondsPerNode, params: p, value: perNode(took, g.nodes)},
				{system: floorName, metric: walBytesPerJob, params: p, value: float64(wal) / float64(g.nodes)},
			}, nil
		}})
	}
	return cells
}

// referenceCells returns the cells of another graph that PGQ works in turns with the graph of the scenario.
func (b *bench) referenceCells(g graph) []cell {
	if !b.has(pgqName) {
		return nil
	}
	q := newPGQ()
	return []cell{{label(q, graphParams(g)), func(ctx context.Context) ([]sample, error) {
		samples, _, err := b.dag(ctx, q, g, false)
		return samples, err
	}}}
}

func graphParams(g graph) params { return params{{"shape", g.shape}, {"nodes", g.nodes}} }

// dag measures how long a DAG takes that was submitted before a worker process is started, how long the nodes after the
// first had to wait for it if they all do, and how much WAL a node has caused.
func (b *bench) dag(ctx context.Context, q queue, g graph, pinned bool) ([]sample, time.Duration, error) {
	var (
		began             = time.Now()
		root, first, last atomic.Int64 // since began
	)
	batch := nodes(q, g)
	batch.pinned, batch.used = pinned, true
	batch.handle = func(num int) {
		since := int64(time.Since(began))
		if num == 0 {
			root.Store(since)
			return
		}
		first.CompareAndSwap(0, since)
		last.Store(since)
	}
	took, wal, err := b.work(ctx, q, batch)
	if err != nil {
		return nil, 0, err
	}
	p := graphParams(g).with("pinned", pinned)
	of := func(metric string, value float64) sample {
		return sample{system: q.name(), metric: metric, params: p, value: value}
	}
	samples := []sample{
		of(microsecondsPerNode, perNode(took, g.nodes)),
		of(walBytesPerJob, float64(wal)/float64(g.nodes)),
	}
	if g.shape == "fan-out" {
		samples = append(samples,
			of(firstChildMilliseconds, milliseconds(time.Duration(first.Load()-root.Load()))),
			of(lastChildMilliseconds, milliseconds(time.Duration(last.Load()-root.Load()))))
	}
	return samples, took, nil
}

// perNode returns the microseconds per node.
func perNode(d time.Duration, nodes int) float64 {
	return float64(d) / float64(time.Microsecond) / float64(nodes)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
