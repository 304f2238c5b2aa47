package pgq

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Reason is one reason why a job does not run, or how it ended; see explain_job in SQL.
type Reason struct {
	Reason string
	Detail string
	JobID  *int64 // the job that it is about
}

// Explain returns why a job does not run, the most decisive reason first. ErrNotFound: there is no such job.
func (c *Client) Explain(ctx context.Context, db DB, id int64) ([]Reason, error) {
	rows, err := db.Query(ctx, c.from("reason, detail, job_id", "explain_job($1)"), id)
	if err != nil {
		return nil, wrap("explain the job", err)
	}
	reasons, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Reason])
	return reasons, wrap("explain the job", err)
}

// AttemptError is how an attempt failed.
type AttemptError struct {
	Attempt  int
	At       time.Time
	Type     string // retried, or the state in which the job ended
	Error    string
	Stack    string // of a panic; else empty
	WorkerID *int64
	RunAt    *time.Time // when it was to run again, if not at once
	// Fingerprint is what errors have in common that differ only in numbers, ids, times and quoted words.
	Fingerprint string
}

// Errors returns how the attempts of a job failed, in order, and what it ended with, whatever the event level of its queue and for
// as long as the job is kept; of very many attempts the last 100.
func (c *Client) Errors(ctx context.Context, db DB, jobID int64) ([]AttemptError, error) {
	rows, err := db.Query(ctx, c.from("attempt, at, type, error, coalesce(stack, ''), worker_id, run_at, fingerprint", "job_errors($1)")+
		" where error is not null", jobID)
	if err != nil {
		return nil, wrap("read the errors", err)
	}
	failed, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AttemptError])
	return failed, wrap("read the errors", err)
}

// JobState is where a job is, and why.
type JobState struct {
	ID    int64
	Kind  string
	State State
	Error *string
}

// States returns where jobs are, by id; those that do not exist are left out.
func (c *Client) States(ctx context.Context, db DB, ids ...int64) (map[int64]JobState, error) {
	rows, err := db.Query(ctx, c.from("id, kind, state, error", "get_jobs($1)"), ids)
	if err != nil {
		return nil, wrap("read the states of jobs", err)
	}
	states, err := pgx.CollectRows(rows, pgx.RowToStructByPos[JobState])
	byID := make(map[int64]JobState, len(states))
	for _, s := range states {
		byID[s.ID] = s
	}
	return byID, wrap("read the states of jobs", err)
}
