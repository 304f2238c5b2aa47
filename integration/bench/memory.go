package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
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
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	child := exec.CommandContext(ctx, program, memoryCommand, q.name(), strconv.Itoa(b.conns))
	child.Env = append(os.Environ(), memoryURL+"="+databaseURL(b.server.url, db.name))
	child.Stdout, child.Stderr = &stdout, &stderr
	if err := child.Run(); err != nil {
		return nil, fmt.Errorf("worker process: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	megabytes, err := strconv.ParseFloat(strings.TrimSpace(stdout.String()), 64)
	if err != nil {
		return nil, fmt.Errorf("worker process: %w", err)
	}
	return []sample{{system: q.name(), metric: peakRSSMegabytes, params: p, value: megabytes}}, nil
}

// memoryURL is the environment variable that tells the child process where the database is. It may hold a password, which
// an argument would show to everybody on the machine.
const memoryURL = "PGQ_BENCH_MEMORY_URL"

// runMemoryChild is the child process: it starts workers, waits until all of their handlers run, and prints its peak
// resident memory in megabytes.
func runMemoryChild(ctx context.Context, args []string, stdout io.Writer) (err error) {
	if len(args) != 2 || !slices.Contains(systemNames, args[0]) || args[0] == floorName {
		return fmt.Errorf("usage: %s system connections", memoryCommand)
	}
	conns, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(os.Getenv(memoryURL))
	if err != nil {
		return err
	}
	config.MaxConns = int32(conns)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	var running tally
	stop, err := newQueue(args[0]).startWorkers(ctx, pool, workers{
		slots: memorySlots,
		handle: func(ctx context.Context, _ int) {
			running.Add(1)
			<-ctx.Done()
		},
	})
	if err != nil {
		return err
	}
	defer stopInto(stop, &err)
	if err := running.await(ctx, memorySlots); err != nil {
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
