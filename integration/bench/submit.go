package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// First arguments of child processes of the dag-submit scenario: with one parent a node, and with several.
const (
	submitChainCommand  = "submit-chain"
	submitLayersCommand = "submit-layers"
)

func submitCells(b *bench) []cell {
	var cells []cell
	for _, n := range []int{b.pacing.fewNodes, b.pacing.manyNodes} {
		for command, shape := range map[string]func(int) graph{submitChainCommand: chain, submitLayersCommand: layers} {
			p := graphParams(shape(n))
			for _, q := range b.queues() {
				cells = append(cells, cell{label(q, p), func(ctx context.Context) ([]sample, error) {
					return b.submit(ctx, q, command, n, p)
				}})
			}
		}
	}
	return cells
}

// submit measures how long a process, this program again, takes to build and submit a DAG, and its peak resident memory.
func (b *bench) submit(ctx context.Context, q queue, command string, n int, p params) (samples []sample, err error) {
	db, err := b.fresh(ctx, q)
	if err != nil {
		return nil, err
	}
	defer db.closeInto(ctx, &err)
	b.server.checkpoint(ctx)
	figures, err := b.child(ctx, db, command, q, n)
	if err != nil {
		return nil, err
	}
	took, megabytes := figures[0], figures[1]
	return []sample{
		{system: q.name(), metric: submitMilliseconds, params: p, value: took},
		{system: q.name(), metric: microsecondsPerNode, params: p, value: took * 1000 / float64(n)},
		{system: q.name(), metric: peakRSSMegabytes, params: p, value: megabytes},
	}, nil
}

// submitForMemory returns the child process: it writes how many milliseconds a DAG of n nodes takes, from the first node
// that is added in memory to the commit, and its peak resident memory in megabytes.
func submitForMemory(shape func(int) graph) childCommand {
	return func(ctx context.Context, q queue, pool *pgxpool.Pool, n int, stdout io.Writer) error {
		// The first transaction of a connection pays for its caches.
		if _, err := q.submit(ctx, pool, chain(2)); err != nil {
			return err
		}
		start := time.Now()
		if _, err := q.submit(ctx, pool, shape(n)); err != nil {
			return err
		}
		took := time.Since(start)
		megabytes, err := peakRSS()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(stdout, milliseconds(took), megabytes)
		return err
	}
}
