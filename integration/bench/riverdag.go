package main

import (
	"context"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// riverNode is a node of a DAG as a user of River without Pro writes it. A table of the user's own says for how many parents
// each node still waits; the job that completes the last one enqueues it, in the transaction that completes that job.
type riverNode struct {
	ID       int64   `json:"id"`
	Children []int64 `json:"children,omitempty"`
}

func (riverNode) Kind() string { return "bench_node" }

// num returns the number of the node in its DAG. The bits before it are the DAG's.
func (n riverNode) num() int { return int(n.ID % riverDAGNodes) }

// riverDAGNodes is how many nodes a DAG may have.
const riverDAGNodes = 1 << 24

const riverNodes = `
	create table dag_nodes (
		id        bigint primary key,
		pending   integer not null,
		children  bigint[]
	) with (fillfactor = 80)`

// submit writes the nodes and enqueues those that wait for nothing, in one transaction.
func (r *riverQueue) submit(ctx context.Context, pool *pgxpool.Pool, g graph) (probe, error) {
	var (
		first    = rand.Int64N(1<<32) * riverDAGNodes
		children = g.children()
		nodes    [][]any
		roots    []river.InsertManyParams
	)
	for i := range g.nodes {
		for k := range children[i] {
			children[i][k] += first
		}
		id := first + int64(i)
		if pending := len(g.parents(i)); pending > 0 {
			nodes = append(nodes, []any{id, int32(pending), children[i]})
		} else {
			roots = append(roots, river.InsertManyParams{Args: riverNode{id, children[i]}})
		}
	}
	return r.drained, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		columns := []string{"id", "pending", "children"}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"dag_nodes"}, columns, pgx.CopyFromRows(nodes)); err != nil {
			return err
		}
		_, err := r.inserter.InsertManyFastTx(ctx, tx, roots)
		return err
	})
}

// workNode returns what a worker does after the work of a node itself.
func (r *riverQueue) workNode(pool *pgxpool.Pool) func(context.Context, *river.Job[riverNode]) error {
	return func(ctx context.Context, job *river.Job[riverNode]) error {
		if job.Args.Children == nil {
			return nil // River completes it, together with others
		}
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if _, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job); err != nil {
				return err
			}
			// Locked in order: parents that have several children in common must not deadlock.
			rows, err := tx.Query(ctx, `
				with locked as materialized (
					select id from dag_nodes where id = any($1) order by id for no key update
				), counted as (
					update dag_nodes
					set pending = pending - 1
					where id = any(array(select id from locked))
					returning id, children, pending
				)
				select id, children from counted where pending = 0`, job.Args.Children)
			if err != nil {
				return err
			}
			next, err := pgx.CollectRows(rows, pgx.RowToStructByPos[riverNode])
			if err != nil || len(next) == 0 {
				return err
			}
			inserts := make([]river.InsertManyParams, len(next))
			for i, node := range next {
				inserts[i].Args = node
			}
			_, err = r.inserter.InsertManyFastTx(ctx, tx, inserts)
			return err
		})
	}
}
