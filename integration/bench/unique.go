package main

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/pgq"
)

// A uniqueQueue is PGQ whose jobs are all to be unique, though all differ.
type uniqueQueue struct {
	pgqQueue
	of func(noop) pgq.Unique
}

func (u uniqueQueue) enqueueMany(ctx context.Context, pool *pgxpool.Pool, jobs []noop) error {
	items := make([]pgq.Item, len(jobs))
	for i, job := range jobs {
		items[i] = pgq.Item{Args: job, Options: pgq.Options{Unique: u.of(job)}}
	}
	_, err := u.client.EnqueueMany(ctx, pool, items)
	return err
}

// uniqueCells enqueue jobs that are unique by a key, by their args, and not at all, and River's by their args.
func uniqueCells(b *bench) []cell {
	systems := map[string]system{}
	if b.has(pgqName) {
		systems["none"] = newPGQ()
		systems["key"] = uniqueQueue{newPGQ(), func(job noop) pgq.Unique { return pgq.Unique{Key: strconv.Itoa(job.Num)} }}
		systems["args"] = uniqueQueue{newPGQ(), func(noop) pgq.Unique { return pgq.Unique{By: []string{"args"}} }}
	}
	var cells []cell
	for _, unique := range []string{"none", "key", "args"} {
		if s := systems[unique]; s != nil {
			p := params{{"n", b.n}, {"unique", unique}}
			cells = append(cells, cell{label(s, p), func(ctx context.Context) ([]sample, error) { return b.bulk(ctx, s, p) }})
		}
	}
	if b.has(riverName) {
		s, p := newUniqueRiver(), params{{"n", b.n}, {"unique", "args"}}
		cells = append(cells, cell{label(s, p), func(ctx context.Context) ([]sample, error) { return b.bulk(ctx, s, p) }})
	}
	return cells
}
