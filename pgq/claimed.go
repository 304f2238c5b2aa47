package pgq

import (
	"time"

	"github.com/jackc/pgx/v5"
)

// claimColumns are the columns of claim in the order in which they are read.
const claimColumns = "job_id, queue, kind, priority, seq, attempt, max_attempts, timeout, created_at, tags, metadata, codec, payload, args, dag_id, sequence"

// collect reads what claim returns.
func (c *Client) collect(rows pgx.Rows, db DB, workerID int64) ([]*Attempt, error) {
	defer rows.Close()
	var claimed []*Attempt
	for rows.Next() {
		a := &Attempt{client: c, db: db, WorkerID: workerID}
		if err := scanAttempt(rows, a); err != nil {
			return nil, wrap("claim", err)
		}
		claimed = append(claimed, a)
	}
	return claimed, wrap("claim", rows.Err())
}

// scanAttempt reads a row.
func scanAttempt(rows pgx.Rows, a *Attempt) error {
	var timeout *time.Duration
	var dagID *int64
	var sequence *string
	err := rows.Scan(&a.ID, &a.Queue, &a.Kind, &a.Priority, &a.Seq, &a.Number, &a.MaxAttempts, &timeout, &a.CreatedAt,
		&a.Tags, (*[]byte)(&a.Metadata), &a.args.codec, &a.args.payload, (*[]byte)(&a.args.json), &dagID, &sequence)
	if sequence != nil {
		a.Sequence = *sequence
	}
	if dagID != nil {
		a.DAGID = *dagID
	}
	if timeout != nil {
		a.Timeout = *timeout
	}
	return err
}
