package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pgq-go/queue/dagsql"
	"github.com/pgq-go/queue/pgq"
)

// broken is the job that fails.
type broken struct{}

func (broken) Kind() string { return "bench_broken" }

var errBroken = errors.New("broken")

func (p pgqQueue) submit(ctx context.Context, pool *pgxpool.Pool, g graph) (probe, error) {
	submitted, err := dagsql.NewClient(p.client).Submit(ctx, pool, buildDAG(g))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, db *pgx.Conn) (bool, error) {
		var ended bool
		err := db.QueryRow(ctx, "select exists (select from pgq.results where job_id = $1)", submitted.ID).Scan(&ended)
		if err != nil || !ended || !g.broken {
			return ended, err
		}
		var skipped int
		err = db.QueryRow(ctx, "select count(*) from pgq.results where state = 'skipped'").Scan(&skipped)
		if err == nil && skipped != g.nodes-1 {
			err = fmt.Errorf("%d nodes were skipped, want %d", skipped, g.nodes-1)
		}
		return true, err
	}, nil
}

func buildDAG(g graph) *dagsql.Builder {
	dag := dagsql.New("bench", dagsql.Options{})
	nodes := make([]*dagsql.Node, g.nodes)
	for i := range nodes {
		if name := "node-" + strconv.Itoa(i); i == 0 && g.broken {
			nodes[i] = dag.Add(name, broken{}, pgq.Options{MaxAttempts: 1})
		} else {
			nodes[i] = dag.Add(name, noop{Num: i})
		}
		for _, parent := range g.parents(i) {
			nodes[i].After(nodes[parent])
		}
	}
	return dag
}
