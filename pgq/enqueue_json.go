package pgq

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
)

// EnqueueJSON adds jobs that are JSON objects with the fields of enqueue_many in SQL, {"kind": …, "args": …, "queue": …}, all
// or none; what became of each, in their order: added, or for jobs that are to be unique existing or replaced. Numbers are
// taken as they are written, however large. Made for batches of some thousands.
//
// Errors are those of [Client.Enqueue]; fields are named with the index of the job, "jobs[3].priority".
func (c *Client) EnqueueJSON(ctx context.Context, db DB, jobs []json.RawMessage) ([]Outcome, error) {
	for i, job := range jobs {
		if !json.Valid(job) {
			return nil, atIndex(i, &ArgumentError{Field: "job", Rule: "must be JSON, nested at most 10000 deep"})
		}
	}
	document, err := json.Marshal(jobs)
	if err != nil {
		return nil, wrap("enqueue", err)
	}
	rows, err := db.Query(ctx, c.adding("job_id, outcome", "enqueue_jobs($1::jsonb, $2)"), json.RawMessage(document), !c.config.NoNotify)
	if err != nil {
		return nil, wrap("enqueue", err)
	}
	outcomes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Outcome])
	if err == nil && len(outcomes) < len(jobs) {
		err = pgx.ErrNoRows
	}
	return outcomes, wrapAdding(err)
}
