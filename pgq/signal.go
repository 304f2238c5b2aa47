package pgq

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// What became of a signal.
const (
	SignalDelivered = "delivered" // the job waited for it, and is ready
	SignalKept      = "kept"      // the job runs or has not got there: its handler finds it
	SignalDuplicate = "duplicate" // the job has a signal of this name: the first one counts
	SignalLate      = "late"      // the handler has stopped waiting for it
	SignalFinished  = "finished"  // the job is finished
)

// Signal sends a signal to a job, whose handler waits for it by [WaitFor] of the same name, or will. The value travels as JSON; nil is null.
// It returns what became of it: delivered, kept, duplicate, late or finished; in the last three nothing was
// changed. Given a transaction, the job is woken when that commits.
//
// ErrNotFound: there is no such job. *ArgumentError: for the name, as of [Step], for a value that is not JSON, and
// for a job that no handler runs.
func (c *Client) Signal(ctx context.Context, db DB, jobID int64, name string, value any) (string, error) {
	if containsNUL(name) {
		return "", stepError("must be valid UTF-8 without NUL")
	}
	encoded, err := encodeJSON("value", value)
	if err != nil {
		return "", err
	}
	var outcome string
	err = db.QueryRow(ctx, c.from("*", "send_signal($1, $2, $3::jsonb)"), jobID, name, encoded.json).Scan(&outcome)
	if err == nil && outcome == "not_found" {
		return "", fmt.Errorf("%w: job %d", ErrNotFound, jobID)
	}
	return outcome, wrap("send the signal", err)
}

// StepInfo is what a handler of a job has kept for later attempts.
type StepInfo struct {
	Name string
	// Type: step, cursor, sleep, signal.
	Type string
	// Attempt last wrote it or waited for it; nil for a signal that nobody has waited for.
	Attempt *int
	NotedAt time.Time
	// WakeAt is until when it sleeps or waits; nil without limit.
	WakeAt *time.Time
	// DoneAt is when it was recorded, saved or sent; nil for what is waited for and for sleeps.
	DoneAt   *time.Time
	TimedOut bool
	Output   json.RawMessage // nil when a codec wrote it
	Codec    *string

	value  encoded
	client *Client
}

// Decode reads what was kept into a value. No value at all leaves that as it is.
func (s *StepInfo) Decode(into any) error {
	if err := s.client.decode(s.value, "", into); err != nil {
		return fmt.Errorf("pgq: step %q: %w", s.Name, err)
	}
	return nil
}

// Steps returns what the handlers of a job have kept: results of steps, cursors, sleeps and signals, in the order in which they
// were first noted; none for a job that is not there.
func (c *Client) Steps(ctx context.Context, db DB, jobID int64) ([]StepInfo, error) {
	rows, err := db.Query(ctx, c.from("name, type, attempt, noted_at, wake_at, done_at, timed_out, output, codec, payload", "job_steps($1)"), jobID)
	if err != nil {
		return nil, wrap("read the steps", err)
	}
	steps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s StepInfo, err error) {
		err = row.Scan(&s.Name, &s.Type, &s.Attempt, &s.NotedAt, &s.WakeAt, &s.DoneAt, &s.TimedOut,
			(*[]byte)(&s.value.json), &s.Codec, &s.value.payload)
		s.Output, s.value.codec, s.client = s.value.json, s.Codec, c
		return s, err
	})
	return steps, wrap("read the steps", err)
}

// ForgetSteps forgets what the handlers of jobs have kept, so that after a Retry they begin anew instead of going on after
// their last step; do both in one transaction. Outcomes: forgotten, also if there was nothing; ready, waiting or
// running: the job is there and is left as it is; not_found.
func (c *Client) ForgetSteps(ctx context.Context, db DB, ids ...int64) ([]Outcome, error) {
	return c.outcomes(ctx, db, "forget the steps", "forget_steps($1)", ids)
}
