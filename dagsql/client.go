package dagsql

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pgq-go/queue/pgq"
)

// Client submits, steers and inspects DAGs. It holds settings and no connection, costs nothing, and is safe for
// concurrent use. A DAG is a job: pgq's Get, Await, History, Delete and so on take its id as well.
type Client struct {
	q *pgq.Client
}

// NewClient returns a client that works in the schema of q, and knows its codecs.
func NewClient(q *pgq.Client) *Client { return &Client{q: q} }

// Submitted is what [Client.Submit] returns.
type Submitted struct {
	// ID of the DAG.
	ID int64
	// Created is false if there was a DAG with the same name and key: ID is that one's then.
	Created bool
}

// Submit adds a DAG in one round trip. Args of nodes that name no codec are encoded by the client's, those of maps and their
// items as JSON. Given a transaction, the DAG exists exactly if the transaction commits; given
// a pool or a connection, it is committed when Submit returns.
//
// Errors: *InvalidError with all that is wrong with the DAG, pgq.ErrNotInstalled, or what the database says. When the
// connection breaks during a commit it is unknown whether the DAG exists: submit it again, with a key.
func (c *Client) Submit(ctx context.Context, db pgq.DB, b *Builder) (Submitted, error) {
	if b.graph.extension {
		return Submitted{}, invalid([]Problem{{Field: "name", Rule: "must be given: extensions are not submitted"}}, nil)
	}
	document, problems := b.graph.document(c.q.DefaultCodec())
	if problems != nil {
		return Submitted{}, c.problems(ctx, db, nil, document, problems)
	}
	return c.submit(ctx, db, document)
}

// SubmitJSON submits a DAG that is given in its JSON form, which [Builder.JSON] returns and docs/dags.md describes; as
// Submit does, errors included. *pgq.ArgumentError: it is no JSON that jsonb can hold.
func (c *Client) SubmitJSON(ctx context.Context, db pgq.DB, document json.RawMessage) (Submitted, error) {
	data, err := pgq.EncodeJSON("dag", document)
	if err != nil {
		return Submitted{}, err
	}
	return c.submit(ctx, db, data)
}

func (c *Client) submit(ctx context.Context, db pgq.DB, document json.RawMessage) (submitted Submitted, err error) {
	err = db.QueryRow(ctx, c.q.From("dag_id, created", "dag_submit($1::jsonb)"), document).Scan(&submitted.ID, &submitted.Created)
	return submitted, wrap("submit the DAG", err)
}

// problems returns the builder's mistakes and those that the database finds besides; of an extension with the id of its DAG.
func (c *Client) problems(ctx context.Context, db pgq.DB, extends *int64, document []byte, mistakes []Problem) error {
	rows, err := db.Query(ctx, c.q.From("coalesce(node, ''), coalesce(field, ''), rule", "dag_problems($1::jsonb, $2)"),
		json.RawMessage(document), extends)
	if err != nil {
		return wrap("check the DAG", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Problem])
	if err != nil {
		return wrap("check the DAG", err)
	}
	return invalid(mistakes, found)
}

// Extend adds nodes to the DAG that the running job is a node of; see [NewExtension]. With tx a transaction in which the
// job is completed, too, the nodes are there exactly if the job is completed. Errors are those of [Client.Extend];
// pgq.ErrNotFound also means that the job is no node.
func Extend(ctx context.Context, db pgq.DB, job *pgq.Attempt, b *Builder) ([]int64, error) {
	if job.DAGID == 0 {
		return nil, fmt.Errorf("%w: job %d is no node of a DAG", pgq.ErrNotFound, job.ID)
	}
	return NewClient(job.Client()).Extend(ctx, db, job.DAGID, b)
}

// Extend adds nodes to a DAG that is not finished and returns their ids in the order in which they were added. The new
// nodes may wait for any node of the DAG, and those that still wait may be made to wait for them ([Node.Before]).
// Errors: *InvalidError; *pgq.ArgumentError when the DAG has ended or is ending, when a node that is to wait does so no
// more, or for a cycle; pgq.ErrNotFound when there is no such DAG.
func (c *Client) Extend(ctx context.Context, db pgq.DB, id int64, b *Builder) ([]int64, error) {
	if !b.graph.extension {
		return nil, invalid([]Problem{{Field: "name", Rule: "must not be given: build it with NewExtension"}}, nil)
	}
	document, problems := b.graph.document(c.q.DefaultCodec())
	if problems != nil {
		return nil, c.problems(ctx, db, &id, document, problems)
	}
	return c.ids(ctx, db, "extend the DAG", "dag_extend($1, $2::jsonb)", id, json.RawMessage(document))
}

// ids calls a function that returns ids.
func (c *Client) ids(ctx context.Context, db pgq.DB, verb, call string, args ...any) ([]int64, error) {
	rows, err := db.Query(ctx, c.q.From("*", call), args...)
	if err != nil {
		return nil, wrap(verb, err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, wrap(verb, err)
}
