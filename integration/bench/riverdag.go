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
	DAG      int64   `json:"dag"`
	Num      int64   `json:"num"`
	Children []int64 `json:"children,omitempty"`
}

func (riverNode) Kind() string { return "bench_node" }

const riverNodes = `
	create table dag_nodes (
		dag       bigint,
		num       bigint,
		pending   integer not null,
		children  bigint[],
		primary key (dag, num)
	) with (fillfactor = 80)`

// submit writes the nodes and enqueues those that wait for nothing, in one transaction.
func (r *riverQueue) submit(ctx context.Context, pool *pgxpool.Pool, g graph) (probe, error) {
	var (
		dag      = rand.Int64()
		children = g.children()
		nodes    [][]any
		roots    []river.InsertManyParams
	)
	for i := range g.nodes {
		pending := len(g.parents(i))
		if pending == 0 {
			roots = append(roots, river.InsertManyParams{Args: riverNode{dag, int64(i), children[i]}})
		} else {
			nodes = append(nodes, []any{dag, int64(i), int32(pending), children[i]})
		}
	}
	return r.drained, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		columns := []string{"dag", "num", "pending", "children"}
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
					select dag, num from dag_nodes where dag = $1 and num = any($2) order by num for no key update
				), counted as (
					update dag_nodes n
					set pending = pending - 1
					from locked l
					where n.dag = l.dag and n.num = l.num
					returning n.dag, n.num, n.children, n.pending
				)
				select dag, num, children from counted where pending = 0`, job.Args.DAG, job.Args.Children)
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
