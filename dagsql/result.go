package dagsql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

// ErrNotUpstream means that a handler asked for the result of a node that is not finished and that its own node does
// not wait for: an edge is missing.
var ErrNotUpstream = errors.New("dagsql: node is not upstream")

// NodeResult is how a node ended, or where it is.
type NodeResult struct {
	ID   int64
	Name string // the kind, for a job outside of the DAG
	// Index is the place of an item of a map, from 0 on.
	Index int
	State pgq.State
	// Error says why it is not completed.
	Error string
	// CauseID is the job whose failure made this one skipped, or failed; nil if it failed by itself, or was skipped by a
	// condition or rule.
	CauseID *int64
	// Output is the result; nil for none, and when a codec wrote it.
	Output json.RawMessage

	value  pgq.Encoded
	client *pgq.Client
}

// Decode reads the result into a value. pgq.ErrNotCompleted: the node is in another state, so it has none.
func (r *NodeResult) Decode(into any) error {
	if r.State != pgq.Completed {
		err := fmt.Errorf("%w: node %q is %s", pgq.ErrNotCompleted, r.Name, r.State)
		if r.Error != "" {
			err = errors.Join(err, errors.New(r.Error))
		}
		return err
	}
	if err := r.client.Decode(r.value, into); err != nil {
		return fmt.Errorf("dagsql: result of node %q: %w", r.Name, err)
	}
	return nil
}

// Result returns the result of another node of the DAG to the handler of a node. The name is looked up in the
// sub-DAG of the handler's node first, then in those around it: "extract" is "etl/extract" for "etl/load".
//
// Errors: pgq.ErrNotCompleted when the node ended in another state (see [Maybe]), pgq.ErrNotFound when the DAG
// has no such node, [ErrNotUpstream].
func Result[T any](ctx context.Context, job *pgq.Attempt, node string) (T, error) {
	var result T
	r, err := upstreamNode(ctx, job, node)
	if err == nil {
		err = r.Decode(&result)
	}
	return result, err
}

// Maybe is [Result] for a node that need not be completed: it reports false if it failed, was cancelled, expired or was
// skipped, or if it is a parent of a node that is run by an eager rule and is not finished.
func Maybe[T any](ctx context.Context, job *pgq.Attempt, node string) (T, bool, error) {
	result, err := Result[T](ctx, job, node)
	if errors.Is(err, pgq.ErrNotCompleted) {
		var none T
		return none, false, nil
	}
	return result, err == nil, err
}

// Upstream returns the direct parents of the node that the job is, by name, each with its state and result.
// In place of the start of a sub-DAG there are the nodes that the sub-DAG waits for.
func Upstream(ctx context.Context, job *pgq.Attempt) ([]NodeResult, error) {
	return readNodes(ctx, job.Client(), job.DB(), "read the parents", "dag_upstream($1) order by name, parent_id", job.ID)
}

// upstreamNode returns a node that is finished, or a direct parent.
func upstreamNode(ctx context.Context, job *pgq.Attempt, node string) (*NodeResult, error) {
	found, err := readNodes(ctx, job.Client(), job.DB(), "read the result of the node", "dag_result($1, $2)", job.ID, node)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%w: node %q", pgq.ErrNotFound, node)
	}
	if err != nil {
		return nil, err
	}
	r := &found[0]
	if r.State.Finished() {
		return r, nil
	}
	parents, err := Upstream(ctx, job)
	if err != nil {
		return nil, err
	}
	for i := range parents {
		if parents[i].ID == r.ID {
			return &parents[i], nil
		}
	}
	return nil, fmt.Errorf("%w: %q is %s", ErrNotUpstream, r.Name, r.State)
}

// readNodes reads what dag_upstream and dag_result return.
func readNodes(ctx context.Context, q *pgq.Client, db pgq.DB, verb, rest string, args ...any) ([]NodeResult, error) {
	rows, err := db.Query(ctx, q.From(
		"parent_id, coalesce(name, ''), state, coalesce(error, ''), cause_id, output, codec, payload", rest), args...)
	if err != nil {
		return nil, wrap(verb, err)
	}
	nodes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (NodeResult, error) {
		r := NodeResult{client: q}
		err := row.Scan(&r.ID, &r.Name, &r.State, &r.Error, &r.CauseID, (*[]byte)(&r.value.JSON), &r.value.Codec, &r.value.Payload)
		r.Output = r.value.JSON
		return r, err
	})
	return nodes, wrap(verb, err)
}
