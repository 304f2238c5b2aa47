package dagsql

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

// page is how many results are read at a time: each may be a megabyte.
const page = 200

// Value is a result with what it is the result of. Value is the zero value unless State is pgq.Completed.
type Value[T any] struct {
	NodeResult
	Value T
}

// Results goes through the results of the direct parents of the node that the job is, in the order of their ids,
// which is that in which they were added. All are told, completed or not: look at State. They are read in pages, and no
// connection is held between them, so that there may be very many.
//
// A result that cannot be read is told with its error; any other error is the last thing that is told.
func Results[T any](ctx context.Context, job *pgq.Attempt) iter.Seq2[Value[T], error] {
	return stream[T](func(after *NodeResult) ([]NodeResult, error) {
		var last int64
		if after != nil {
			last = after.ID
		}
		return readNodes(ctx, job.Client(), job.DB(), "read the parents",
			"dag_upstream($1) where parent_id > $2 order by parent_id limit $3", job.ID, last, page)
	})
}

// Items goes through the results of the items of a map, in their order, for the handler of a node that waits for the map;
// as [Results] does. Errors: pgq.ErrNotFound, [ErrNotUpstream].
func Items[T any](ctx context.Context, job *pgq.Attempt, node string) iter.Seq2[Value[T], error] {
	return func(yield func(Value[T], error) bool) {
		m, err := upstreamNode(ctx, job, node)
		if err != nil {
			yield(Value[T]{}, err)
			return
		}
		items[T](ctx, job.Client(), job.DB(), m.ID)(yield)
	}
}

// Output returns the result of a node of a DAG. Errors: pgq.ErrNotCompleted when it is in another state, pgq.ErrNotFound.
func Output[T any](ctx context.Context, c *Client, db pgq.DB, id int64, node string) (T, error) {
	nodeID, err := c.nodeID(ctx, db, id, node)
	if err != nil {
		var none T
		return none, err
	}
	return pgq.Result[T](ctx, c.q, db, nodeID)
}

// Outputs goes through the results of the items of a map, in their order, as [Results] does. pgq.ErrNotFound: there is no
// such node.
func Outputs[T any](ctx context.Context, c *Client, db pgq.DB, id int64, node string) iter.Seq2[Value[T], error] {
	return func(yield func(Value[T], error) bool) {
		nodeID, err := c.nodeID(ctx, db, id, node)
		if err != nil {
			yield(Value[T]{}, err)
			return
		}
		items[T](ctx, c.q, db, nodeID)(yield)
	}
}

// nodeID returns the job that is the node.
func (c *Client) nodeID(ctx context.Context, db pgq.DB, id int64, node string) (int64, error) {
	rows, err := db.Query(ctx, c.q.From("id", "jobs where dag_id = $1 and name = $2"), id, node)
	if err != nil {
		return 0, wrap("find the node", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err == nil && len(ids) == 0 {
		return 0, fmt.Errorf("%w: node %q of DAG %d", pgq.ErrNotFound, node, id)
	}
	if err != nil {
		return 0, wrap("find the node", err)
	}
	return ids[0], nil
}

// items goes through the results of the items of a map.
func items[T any](ctx context.Context, q *pgq.Client, db pgq.DB, mapID int64) iter.Seq2[Value[T], error] {
	return stream[T](func(after *NodeResult) ([]NodeResult, error) {
		var last int64
		if after != nil {
			last = after.ID
		}
		rows, err := db.Query(ctx, q.From("item_id, index, name, state, coalesce(error, ''), output, codec, payload",
			"dag_items($1, $2, $3)"), mapID, last, page)
		if err != nil {
			return nil, wrap("read the items", err)
		}
		found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (NodeResult, error) {
			r := NodeResult{client: q}
			err := row.Scan(&r.ID, &r.Index, &r.Name, &r.State, &r.Error, (*[]byte)(&r.value.JSON), &r.value.Codec, &r.value.Payload)
			r.Output = r.value.JSON
			return r, err
		})
		return found, wrap("read the items", err)
	})
}

// stream tells the values of pages, which next returns, each after the last of the one before.
func stream[T any](next func(after *NodeResult) ([]NodeResult, error)) iter.Seq2[Value[T], error] {
	return func(yield func(Value[T], error) bool) {
		var last *NodeResult
		for {
			results, err := next(last)
			if err != nil {
				yield(Value[T]{}, err)
				return
			}
			for _, r := range results {
				value := Value[T]{NodeResult: r}
				var err error
				if r.State == pgq.Completed {
					err = r.Decode(&value.Value)
				}
				if !yield(value, err) {
					return
				}
			}
			if len(results) < page {
				return
			}
			last = &results[page-1]
		}
	}
}
