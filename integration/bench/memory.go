package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// memoryCommand is the first argument of a child process of the memory scenario.
	memoryCommand = "memory-worker"

	// memorySlots is the number of handlers that run at the same time.
	memorySlots = 1_000
)

func memoryCells(b *bench) []cell {
	p := params{{"workers", memorySlots}}
	var cells []cell
	for _, q := range b.queues() {
		cells = append(cells, cell{label(q, p), func(ctx context.Context) ([]sample, error) {
			return b.memory(ctx, q, p)
		}})
	}
	return cells
}

// memory measures the peak resident memory of a worker process, this program again, whose handlers all run.
func (b *bench) memory(ctx context.Context, q queue, p params) (samples []sample, err error) {
	db, err := b.fresh(ctx, q)
	if err != nil {
		return nil, err
	}
	defer db.closeInto(ctx, &err)
	if err := q.enqueueMany(ctx, db.pool, noops(0, memorySlots)); err != nil {
		return nil, err
	}
	figures, err := b.child(ctx, db, memoryCommand, q, memorySlots)
	if err != nil {
		return nil, err
	}
	return []sample{{system: q.name(), metric: peakRSSMegabytes, params: p, value: figures[0]}}, nil
}

// workForMemory is the child process: it starts workers, waits until all of their handlers run, and writes its peak
// resident memory in megabytes.
func workForMemory(ctx context.Context, q queue, pool *pgxpool.Pool, slots int, stdout io.Writer) (err error) {
	var running tally
	stop, err := q.startWorkers(ctx, pool, workers{
		slots: slots,
		handle: func(ctx context.Context, _ int) {
			running.Add(1)
			<-ctx.Done()
		},
	})
	if err != nil {
		return err
	}
	defer stopInto(stop, &err)
	if err := running.await(ctx, slots); err != nil {
		return err
	}
	megabytes, err := peakRSS()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, megabytes)
	return err
}

// peakRSS returns the peak resident memory of this process in megabytes. The resource usage of the process would not do: it
// remembers the parent's peak.
func peakRSS() (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, os.ErrNotExist) {
		return 0, errors.New("peak memory is read from /proc, which only Linux has")
	}
	if err != nil {
		return 0, err
	}
	return parsePeakRSS(string(status))
}

// parsePeakRSS finds the peak in the contents of /proc/self/status.
func parsePeakRSS(status string) (float64, error) {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, "VmHWM:")
		if !ok {
			continue
		}
		kilobytes, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
		return kilobytes / 1024, err
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}
