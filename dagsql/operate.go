package dagsql

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

// CancelOptions say what of a DAG is to be cancelled: by default all that is not finished.
type CancelOptions struct {
	// Nodes are names, or patterns in which * stands for any characters: "trial-*". Only these are cancelled.
	Nodes []string
	// Downstream cancels what waits for them, too.
	Downstream bool
	// Reason is kept with what is cancelled.
	Reason string
}

// Cancel cancels a DAG or nodes of it. Outcomes per job are those of pgq's Cancel: what runs is told to stop.
// pgq.ErrNotFound: there is no such DAG or node.
func (c *Client) Cancel(ctx context.Context, db pgq.DB, id int64, o CancelOptions) ([]pgq.Outcome, error) {
	rows, err := db.Query(ctx, c.q.From("job_id, outcome", "dag_cancel($1, $2, $3, nullif($4, ''))"),
		id, o.Nodes, o.Downstream, pgq.Printable(o.Reason))
	if err != nil {
		return nil, wrap("cancel the DAG", err)
	}
	outcomes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pgq.Outcome])
	return outcomes, wrap("cancel the DAG", err)
}

// RetryMode says which nodes of a DAG are run again.
type RetryMode string

// The modes of retrying. All of them let what was skipped or failed because of these nodes run as well.
const (
	RetryFailed     RetryMode = "failed"     // those that failed, were cancelled or expired
	RetryDownstream RetryMode = "downstream" // and all that comes after them
	RetryAll        RetryMode = "all"        // all
	RetryFrom       RetryMode = "from"       // those that are named, and all that comes after them
)

// Retry runs nodes of a DAG again, in place, and returns the ids of the jobs that were reset. The results of the other
// nodes are kept. Nodes, by name or pattern, restrict what the modes RetryFailed and RetryDownstream choose; RetryFrom needs
// some. A map that runs again keeps its items, unless the node that it maps over runs again, too.
// Errors: pgq.ErrNotFound when there is no such DAG or node, *pgq.ArgumentError for a mode that is none or lacks nodes.
func (c *Client) Retry(ctx context.Context, db pgq.DB, id int64, mode RetryMode, nodes ...string) ([]int64, error) {
	if len(nodes) == 0 {
		nodes = nil // all
	}
	return c.ids(ctx, db, "retry the DAG", "dag_retry($1, $2, $3)", id, string(mode), nodes)
}

// Fork submits a new DAG like another one that has ended, and returns its id. These nodes, by name or pattern, run
// again in it, with all that comes after them and all that has not succeeded; the results of the others are taken over.
// The new DAG has no key. Errors: pgq.ErrNotFound when there is no such DAG or node, *pgq.ArgumentError when the DAG has not
// ended, or without nodes.
func (c *Client) Fork(ctx context.Context, db pgq.DB, id int64, nodes ...string) (int64, error) {
	var fork int64
	err := db.QueryRow(ctx, c.q.From("*", "dag_fork($1, $2)"), id, nodes).Scan(&fork)
	return fork, wrap("fork the DAG", err)
}

// Hold keeps nodes of a DAG that have not been started from being started, and returns how many that are. What runs
// goes on. The reason may be empty. pgq.ErrNotFound: there is no such DAG.
func (c *Client) Hold(ctx context.Context, db pgq.DB, id int64, reason string) (int64, error) {
	return c.number(ctx, db, "hold the DAG", "dag_hold($1, nullif($2, ''))", id, pgq.Printable(reason))
}

// Resume lets a DAG go on that was held, and returns how many nodes were. Delays of jobs begin anew; retries start at once.
// pgq.ErrNotFound: there is no such DAG.
func (c *Client) Resume(ctx context.Context, db pgq.DB, id int64) (int64, error) {
	return c.number(ctx, db, "resume the DAG", "dag_resume($1)", id)
}

func (c *Client) number(ctx context.Context, db pgq.DB, verb, call string, args ...any) (int64, error) {
	var n int64
	err := db.QueryRow(ctx, c.q.From("*", call), args...).Scan(&n)
	return n, wrap(verb, err)
}

// Answer is what became of an answer to an external node.
type Answer string

// What becomes of answers.
const (
	AnswerCompleted Answer = "completed" // the node is completed by it
	AnswerFailed    Answer = "failed"    // the node has failed by it
	AnswerEarly     Answer = "early"     // it is kept until the node's parents are done
	AnswerLate      Answer = "finished"  // too late: the node was finished, and stays as it is
)

// Complete answers an external node: it is completed with this value as its result; nil is none. The first answer
// counts. It wakes a node that sleeps, too. Errors: pgq.ErrNotFound when there is no such node, *pgq.ArgumentError when it
// is of another sort.
func (c *Client) Complete(ctx context.Context, db pgq.DB, id int64, node string, value any) (Answer, error) {
	var output json.RawMessage
	if value != nil {
		var err error
		if output, err = pgq.EncodeJSON("output", value); err != nil {
			return "", err
		}
	}
	var answer Answer
	err := db.QueryRow(ctx, c.q.From("*", "dag_complete($1, $2, $3::jsonb)"), id, node, output).Scan(&answer)
	return answer, wrap("complete the node", err)
}

// Fail answers an external node: it fails for this reason. Errors are those of Complete.
func (c *Client) Fail(ctx context.Context, db pgq.DB, id int64, node, reason string) (Answer, error) {
	var answer Answer
	err := db.QueryRow(ctx, c.q.From("*", "dag_fail($1, $2, $3)"), id, node, pgq.Printable(reason)).Scan(&answer)
	return answer, wrap("fail the node", err)
}
