package pgq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// EventLevel says which events of a queue are written.
type EventLevel string

// The levels of events. While somebody subscribes, all are written whatever the level.
const (
	EventsNone    EventLevel = "none"
	EventsChanges EventLevel = "changes" // all but the usual way: enqueued, claimed, completed
	EventsAll     EventLevel = "all"
)

// QueueSettings are the settings of a queue. In [Client.SetQueue] nil leaves a setting as it is; what
// [Client.QueueSettings] returns is complete but for limits that are not set.
type QueueSettings struct {
	// MaxDepth is how many jobs may wait to be started (ready or scheduled); more are refused with
	// ErrQueueFull. Past WarnDepth, Enqueue says NearLimit. Enqueueing into a queue with a limit counts its
	// waiting jobs up to it: the cost grows with the limit.
	MaxDepth, WarnDepth *int64
	// MaxArgsBytes is the largest size of args; 1 MiB by default.
	MaxArgsBytes *int64
	// MaxAttempts, Timeout and Backoff count for jobs that have none of their own.
	MaxAttempts *int
	Timeout     *time.Duration
	Backoff     *Backoff
	// How long finished jobs are kept: completed, cancelled and expired ones 1 day, failed ones 30 days by default.
	KeepCompleted, KeepFailed, KeepCancelled, KeepExpired *time.Duration
	// Events is EventsChanges by default.
	Events *EventLevel
	// AgeEvery lets jobs age: a ready job counts as one priority sooner for each such time that it has waited, and so goes before all that become
	// ready later than its priority times AgeEvery after it. nil: only the priority counts. 1 ms to a year.
	AgeEvery *time.Duration
}

// SetQueue sets what is given and leaves the rest; it creates the queue. Settings of the queue "*" are the
// defaults of all queues. *ArgumentError: a setting breaks a rule; nothing was changed.
func (c *Client) SetQueue(ctx context.Context, db DB, queue string, s QueueSettings) error {
	settings := map[string]any{}
	put(settings, "max_depth", s.MaxDepth)
	put(settings, "warn_depth", s.WarnDepth)
	put(settings, "max_args_bytes", s.MaxArgsBytes)
	put(settings, "max_attempts", s.MaxAttempts)
	put(settings, "backoff", s.Backoff)
	put(settings, "events", s.Events)
	for name, d := range map[string]*time.Duration{
		"timeout": s.Timeout, "keep_completed": s.KeepCompleted, "keep_failed": s.KeepFailed,
		"keep_cancelled": s.KeepCancelled, "keep_expired": s.KeepExpired, "age_every": s.AgeEvery,
	} {
		if d != nil {
			settings[name] = interval(d)
		}
	}
	return c.setQueue(ctx, db, queue, settings)
}

// ResetQueue puts settings, named as in SQL ("max_depth"), back to the defaults.
func (c *Client) ResetQueue(ctx context.Context, db DB, queue string, names ...string) error {
	settings := map[string]any{}
	for _, name := range names {
		settings[name] = nil
	}
	return c.setQueue(ctx, db, queue, settings)
}

// SetQueueJSON is [Client.SetQueue] with a JSON object of settings, as set_queue takes it in SQL; null puts one back to the default.
func (c *Client) SetQueueJSON(ctx context.Context, db DB, queue string, settings json.RawMessage) error {
	_, err := db.Exec(ctx, c.from("*", "set_queue($1, $2::jsonb, reason => nullif($3, ''), actor => nullif($4, ''))"), queue, settings, c.reason, c.actor)
	return wrap("set the queue", err)
}

func (c *Client) setQueue(ctx context.Context, db DB, queue string, settings map[string]any) error {
	document, err := json.Marshal(settings)
	if err != nil {
		return &ArgumentError{Field: "settings", Rule: "must be encodable: " + err.Error()}
	}
	return c.SetQueueJSON(ctx, db, queue, document)
}

func put[T any](settings map[string]any, name string, value *T) {
	if value != nil {
		settings[name] = value
	}
}

// QueueSettings returns the settings in force for a queue: its own, else the defaults; whether it exists or not.
func (c *Client) QueueSettings(ctx context.Context, db DB, queue string) (QueueSettings, error) {
	var s QueueSettings
	var backoff []byte
	err := db.QueryRow(ctx, c.from(
		`max_depth, warn_depth, max_args_bytes, max_attempts, timeout, backoff,
		 keep_completed, keep_failed, keep_cancelled, keep_expired, events, age_every`, "queue_settings($1)"), queue).
		Scan(&s.MaxDepth, &s.WarnDepth, &s.MaxArgsBytes, &s.MaxAttempts, &s.Timeout, &backoff,
			&s.KeepCompleted, &s.KeepFailed, &s.KeepCancelled, &s.KeepExpired, &s.Events, &s.AgeEvery)
	if err != nil {
		return s, wrap("read the settings of the queue", err)
	}
	s.Backoff = &Backoff{}
	return s, wrap("read the settings of the queue", json.Unmarshal(backoff, s.Backoff))
}

// PauseQueue keeps jobs of a queue from being claimed; running ones go on. The reason may be empty. A queue that is paused already stays so since
// when it was, and a new reason takes the place of the old one. See [Client.By] for who does it.
func (c *Client) PauseQueue(ctx context.Context, db DB, queue, reason string) error {
	_, err := db.Exec(ctx, c.from("*", "pause_queue($1, nullif($2, ''), nullif($3, ''))"), queue, c.why(reason), c.actor)
	return wrap("pause the queue", err)
}

// ResumeQueue lets jobs of a paused queue be claimed again. ErrNotFound: there is no such queue.
func (c *Client) ResumeQueue(ctx context.Context, db DB, queue string) error {
	_, err := db.Exec(ctx, c.from("*", "resume_queue($1, nullif($2, ''), nullif($3, ''))"), queue, c.reason, c.actor)
	return wrap("resume the queue", err)
}

// Queue is a queue that is registered: it has settings of its own, was paused, or had a worker.
type Queue struct {
	Name        string
	PausedAt    *time.Time
	PausedBy    *string
	PauseReason *string
}

// Queue returns a queue. ErrNotFound: it is not registered.
func (c *Client) Queue(ctx context.Context, db DB, name string) (Queue, error) {
	var q Queue
	err := db.QueryRow(ctx, "select name, paused_at, paused_by, pause_reason from "+c.schema+".registered_queues where name = $1", name).
		Scan(&q.Name, &q.PausedAt, &q.PausedBy, &q.PauseReason)
	if errors.Is(err, pgx.ErrNoRows) {
		return q, fmt.Errorf("%w: queue %q", ErrNotFound, name)
	}
	return q, wrap("read the queue", err)
}
