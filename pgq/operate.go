package pgq

import (
	"context"
	"strings"
	"time"
)

// Cancel cancels jobs. Outcomes: cancelled (it waited), requested (it runs; its worker is told to stop it, and
// it ends as cancelled unless it completes first), finished, not_found.
func (c *Client) Cancel(ctx context.Context, db DB, reason string, ids ...int64) ([]Outcome, error) {
	return c.outcomes(ctx, db, "cancel", "cancel($1, nullif($2, ''))", ids, Printable(reason))
}

// Retry runs jobs again now, finished ones with at least one attempt more, scheduled ones without waiting for
// their time. Outcomes: ready, running, not_found; of DAGs and their nodes also waiting (for other nodes) and finished (a
// DAG, sub-DAG or map in which there was nothing to run again).
func (c *Client) Retry(ctx context.Context, db DB, ids ...int64) ([]Outcome, error) {
	return c.outcomes(ctx, db, "retry", "retry($1)", ids)
}

// Reschedule moves jobs that wait to another time; a time that is past makes them ready.
// Outcomes: scheduled, ready, running, finished, not_found.
func (c *Client) Reschedule(ctx context.Context, db DB, at time.Time, ids ...int64) ([]Outcome, error) {
	if at.IsZero() {
		return nil, &ArgumentError{Field: "run_at", Rule: "must be given"}
	}
	return c.outcomes(ctx, db, "reschedule", "reschedule($1, $2)", ids, at)
}

// Delete deletes jobs with all that is known of them, unless they run. Outcomes: deleted, running, not_found.
func (c *Client) Delete(ctx context.Context, db DB, ids ...int64) ([]Outcome, error) {
	return c.outcomes(ctx, db, "delete", "delete($1)", ids)
}

// Printable returns text that PostgreSQL can hold: NUL and invalid UTF-8 are replaced by U+FFFD.
func Printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
