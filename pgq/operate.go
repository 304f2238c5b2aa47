package pgq

import (
	"context"
	"strings"
	"time"
)

// Cancel cancels jobs. Outcomes: cancelled (it waited), requested (it runs; its worker is told to stop it, and
// it ends as cancelled unless it completes first), finished, not_found.
func (c *Client) Cancel(ctx context.Context, db DB, reason string, ids ...int64) ([]Outcome, error) {
	return c.outcomes(ctx, db, "cancel", "cancel($1, nullif($2, ''), nullif($3, ''))", ids, c.why(reason), c.actor)
}

// Retry runs jobs again now, finished ones with at least one attempt more, scheduled ones without waiting for
// their time. Outcomes: ready, running, not_found; of DAGs and their nodes also waiting (for other nodes) and finished (a
// DAG, sub-DAG or map in which there was nothing to run again); waiting, too, where another job of the same sequence is at it.
func (c *Client) Retry(ctx context.Context, db DB, ids ...int64) ([]Outcome, error) {
	return c.outcomes(ctx, db, "retry", "retry($1, nullif($2, ''), nullif($3, ''))", ids, c.reason, c.actor)
}

// Reschedule moves jobs that wait to another time; a time that is past makes them ready.
// Outcomes: scheduled, ready, running, finished, not_found.
func (c *Client) Reschedule(ctx context.Context, db DB, at time.Time, ids ...int64) ([]Outcome, error) {
	if at.IsZero() {
		return nil, &ArgumentError{Field: "run_at", Rule: "must be given"}
	}
	return c.outcomes(ctx, db, "reschedule", "reschedule($1, $2, null, nullif($3, ''), nullif($4, ''))", ids, at, c.reason, c.actor)
}

// Delete deletes jobs with all that is known of them, unless they run. Outcomes: deleted, running, not_found.
func (c *Client) Delete(ctx context.Context, db DB, ids ...int64) ([]Outcome, error) {
	return c.outcomes(ctx, db, "delete", "delete($1, nullif($2, ''), nullif($3, ''))", ids, c.reason, c.actor)
}

// Move moves jobs that are ready or scheduled to another queue, behind those that are ready there; scheduled ones keep their
// time. Outcomes: moved, unchanged (it is in that queue), running, waiting, finished, not_found. ErrQueueFull: the queue
// would be past its maximum depth; nothing was changed.
func (c *Client) Move(ctx context.Context, db DB, queue string, ids ...int64) ([]Outcome, error) {
	return c.outcomes(ctx, db, "move", "move($1, $2, nullif($3, ''), nullif($4, ''))", ids, queue, c.reason, c.actor)
}

// SetPriority gives jobs that are ready or scheduled another priority, 0 (the soonest) to 9. Ready ones come behind those
// that have it already. Outcomes: changed, unchanged, running, waiting, finished, not_found.
func (c *Client) SetPriority(ctx context.Context, db DB, priority int, ids ...int64) ([]Outcome, error) {
	return c.outcomes(ctx, db, "set the priority", "set_priority($1, $2, nullif($3, ''), nullif($4, ''))", ids, priority, c.reason, c.actor)
}

// Purge deletes one batch of the jobs of a queue, whatever their state, but those that run; see [Client.Change]. Nodes of
// DAGs stay: they go with their DAG. Its Batch, Reason, Actor and Filter.After count of the change.
func (c *Client) Purge(ctx context.Context, db DB, queue string, change Change) (Changed, error) {
	change.Verb, change.Filter.Queues = VerbDelete, []string{queue}
	return c.Change(ctx, db, change)
}

// Printable returns text that PostgreSQL can hold: NUL and invalid UTF-8 are replaced by U+FFFD.
func Printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
