package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// childURL is the environment variable that tells a child process where the database is. It may hold a password, which an
// argument would show to everybody on the machine.
const childURL = "PGQ_BENCH_CHILD_URL"

// A childCommand is what a child process does with a system, a pool of its own and a number. It writes figures, one per line.
type childCommand func(ctx context.Context, q queue, pool *pgxpool.Pool, n int, stdout io.Writer) error

// childCommands are by the first argument of the process.
var childCommands = map[string]childCommand{
	memoryCommand:       workForMemory,
	submitChainCommand:  submitForMemory(chain),
	submitLayersCommand: submitForMemory(layers),
}

// child runs this program again, as a process whose memory is its own, and returns the figures that it writes.
func (b *bench) child(ctx context.Context, db *database, command string, q queue, n int) ([]float64, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	child := exec.CommandContext(ctx, program, command, q.name(), strconv.Itoa(b.conns), strconv.Itoa(n))
	child.Env = append(os.Environ(), childURL+"="+databaseURL(b.server.url, db.name))
	child.Stdout, child.Stderr = &stdout, &stderr
	if err := child.Run(); err != nil {
		return nil, fmt.Errorf("child process: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	var figures []float64
	for _, word := range strings.Fields(stdout.String()) {
		figure, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, fmt.Errorf("child process: %w", err)
		}
		figures = append(figures, figure)
	}
	return figures, nil
}

// runChild is the child process.
func runChild(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) != 4 || !slices.Contains(systemNames, args[1]) || args[1] == floorName {
		return fmt.Errorf("usage: %s system connections number", args[0])
	}
	conns, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(os.Getenv(childURL))
	if err != nil {
		return err
	}
	config.MaxConns = int32(conns)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	return childCommands[args[0]](ctx, newQueue(args[1]), pool, n, stdout)
}
