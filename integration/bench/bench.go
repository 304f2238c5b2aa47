package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"
)

// minConns is the smallest pool that both systems can work with: each keeps one connection for notifications.
const minConns = 4

// stopTimeout bounds how long workers may take to stop.
const stopTimeout = 30 * time.Second

// A scenario is one question, asked of all systems.
type scenario struct {
	name  string
	cells func(b *bench) []cell
}

// A cell is one measurement of one system. The cells of a scenario are measured one after the other, over and over, so
// that the systems take turns.
type cell struct {
	label   string
	measure func(ctx context.Context) ([]sample, error)
}

// scenarios are all there are, in the order in which they run.
func scenarios() []scenario {
	return []scenario{
		{"enqueue-bulk", bulkCells},
		{"enqueue-unique", uniqueCells},
		{"backlog", backlogCells},
		{"fairness", fairnessCells},
		{"groups", groupsCells},
		{"enqueue-tx", txCells},
		{"drain", drainCells},
		{"latency", latencyCells},
		{"sequence", sequenceCells},
		{"schedules", scheduleCells},
		{"pinned-xmin", pinnedCells},
		{"idle", idleCells},
		{"memory", memoryCells},
		{"dag-submit", submitCells},
		{"dag-chain", chainCells},
		{"dag-fanout", fanOutCells},
		{"dag-fanin", fanInCells},
		{"dag-layers", layersCells},
		{"dag-skip", skipCells},
		{"views", viewsCells},
		{"events", eventsCells},
	}
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// bench measures what its options ask for.
type bench struct {
	options

	// about says in one line what was measured where, for the reader of the results.
	about string

	server   *server
	progress io.Writer
}

func newBench(ctx context.Context, o options, progress io.Writer) (*bench, error) {
	server, err := startServer(ctx, o.url)
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, server: server, progress: progress}
	about, err := server.describe(ctx)
	if err != nil {
		return nil, errors.Join(err, server.close(ctx))
	}
	b.about = fmt.Sprintf("%s; %d CPUs; pools of %d; n=%d; median of %d", about, runtime.NumCPU(), o.conns, o.n, o.runs)
	fmt.Fprintln(progress, b.about)
	return b, nil
}

func (b *bench) close(ctx context.Context) error { return b.server.close(context.WithoutCancel(ctx)) }

// measure runs the scenarios. A measurement that fails is reported and left out; the others go on.
func (b *bench) measure(ctx context.Context) ([]sample, error) {
	var (
		samples []sample
		first   error
		failed  int
	)
	for _, s := range scenarios() {
		if len(b.scenarios) > 0 && !slices.Contains(b.scenarios, s.name) {
			continue
		}
		cells := s.cells(b)
		for run := range b.runs {
			for _, c := range cells {
				if ctx.Err() != nil {
					return samples, context.Cause(ctx)
				}
				measured, err := c.measure(ctx)
				if err != nil {
					err = fmt.Errorf("%s: %s: %w", s.name, c.label, err)
					fmt.Fprintln(b.progress, err)
					if failed++; failed == 1 {
						first = err
					}
					continue
				}
				for i := range measured {
					measured[i].scenario = s.name
				}
				samples = append(samples, measured...)
				fmt.Fprintf(b.progress, "%d/%d %s: %s: %s\n", run+1, b.runs, s.name, c.label, figures(measured))
			}
		}
	}
	if failed > 0 {
		return samples, fmt.Errorf("%d measurements failed, the first: %w", failed, first)
	}
	return samples, nil
}

// figures writes the samples of a cell for the progress report.
func figures(samples []sample) string {
	words := make([]string, len(samples))
	for i, s := range samples {
		words[i] = fmt.Sprintf("%s %s", number(s.value), units[s.metric])
	}
	return strings.Join(words, ", ")
}

// queues returns the queues to measure, each once.
func (b *bench) queues() []queue {
	var queues []queue
	for _, name := range systemNames {
		if !slices.Contains(b.systems, name) || name == floorName {
			continue
		}
		queues = append(queues, newQueue(name))
	}
	return queues
}

// has reports whether the system is to be measured.
func (b *bench) has(name string) bool { return slices.Contains(b.systems, name) }

// label names the cell of a system under these circumstances.
func label(s system, p params) string {
	return s.name() + " " + p.String()
}
