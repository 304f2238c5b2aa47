package main

import "context"

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
func (b *bench) drain(ctx context.Context, q queue, p params) ([]sample, error) {
	took, wal, err := b.work(ctx, q, plain(q, b.n))
	if err != nil {
		return nil, err
	}
	return []sample{
		{system: q.name(), metric: jobsPerSecond, params: p, value: perSecond(b.n, took)},
		{system: q.name(), metric: walBytesPerJob, params: p, value: float64(wal) / float64(b.n)},
	}, nil
}
