package pgq

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// Verb is what an operator does with jobs.
type Verb string

// The verbs of [Client.Change].
const (
	VerbCancel      Verb = "cancel"
	VerbRetry       Verb = "retry"
	VerbDelete      Verb = "delete"
	VerbMove        Verb = "move"
	VerbReschedule  Verb = "reschedule"
	VerbSetPriority Verb = "set_priority"
)

// Change is something to do with jobs that fit a filter.
type Change struct {
	Verb Verb
	// Filter must choose by something; its Limit does not count.
	Filter Filter
	// Queue is that to which VerbMove moves jobs.
	Queue string
	// RunAt is when the jobs of VerbReschedule are to run.
	RunAt time.Time
	// Priority is what VerbSetPriority sets; nil is refused.
	Priority *int
	// Rate is how many jobs per second VerbRetry lets run, from StartAt on: they are scheduled one after the other. 0: at
	// once, all of them. Of VerbDelete it is how many are deleted per second if each batch begins at the StartAt of the one before it, which has a
	// second's worth at the most.
	Rate    float64
	StartAt time.Time
	// Batch is how many jobs one call changes: 1,000 by default, at most 10,000.
	Batch int
	// Reason and Actor are kept with the events of the jobs, and with the event "operated", which every batch writes. The actor is the
	// session's user by default.
	Reason, Actor string
}

// Changed is what came of a batch.
type Changed struct {
	// Outcomes are how many jobs had which outcome: those of the verb for single jobs; unchanged; and missed: it did not
	// fit any more, or somebody else was about to move it, so that nothing was done.
	Outcomes map[string]int64
	// IDs are the jobs of each outcome.
	IDs map[string][]int64
	// Next is the After of the next batch; 0: this was the last.
	Next int64
	// StartAt is the StartAt of the next batch, with a rate; of VerbDelete the time at which that is to begin.
	StartAt time.Time
}

// Jobs is how many jobs were looked at.
func (c Changed) Jobs() int64 {
	var n int64
	for _, jobs := range c.Outcomes {
		n += jobs
	}
	return n
}

// settings are what the verb is to know.
func (c Change) settings() (json.RawMessage, error) {
	settings := map[string]any{}
	if c.Queue != "" {
		settings["queue"] = c.Queue
	}
	put(settings, "priority", c.Priority)
	if c.Rate != 0 {
		settings["rate"] = c.Rate
	}
	for name, at := range map[string]time.Time{"run_at": c.RunAt, "start_at": c.StartAt} {
		if at.IsZero() {
			continue
		}
		if at.UTC().Year() < 1 || at.UTC().Year() > 9999 {
			return nil, &ArgumentError{Field: name, Rule: "must be in the years 1 to 9999"}
		}
		settings[name] = at.UTC().Format(time.RFC3339Nano)
	}
	document, err := json.Marshal(settings)
	if err != nil {
		return nil, &ArgumentError{Field: "rate", Rule: "must be a number"}
	}
	return document, nil
}

// Change does something with one batch of jobs that fit, in the order of their ids; given a pool or a connection it is
// committed when Change returns. Call it again with Filter.After and StartAt as it says, until Next is 0. Jobs are only
// changed if they fit at that moment; two operators wait for each other.
//
// Errors: *ArgumentError for a field that breaks a rule, ErrQueueFull (VerbMove), ErrBusy. Nothing of the batch was done then.
func (c *Client) Change(ctx context.Context, db DB, change Change) (Changed, error) {
	var done Changed
	filter, err := change.Filter.document()
	if err != nil {
		return done, err
	}
	settings, err := change.settings()
	if err != nil {
		return done, err
	}
	var jobs []byte
	var next *int64
	var startAt *time.Time
	err = db.QueryRow(ctx, c.from("jobs, next, next_start_at", "change_jobs($1, $2::jsonb, $3::jsonb, $4, nullif($5, ''), nullif($6, ''))"),
		string(change.Verb), filter, settings, first(change.Batch, 1000), c.why(change.Reason), cmp.Or(Printable(change.Actor), c.actor)).
		Scan(&jobs, &next, &startAt)
	if err != nil {
		return done, wrapFilter("change jobs", err)
	}
	if next != nil {
		done.Next = *next
	}
	if startAt != nil {
		done.StartAt = *startAt
	}
	if err := json.Unmarshal(jobs, &done.IDs); err != nil {
		return done, wrap("change jobs", err)
	}
	done.Outcomes = map[string]int64{}
	for outcome, ids := range done.IDs {
		done.Outcomes[outcome] = int64(len(ids))
	}
	return done, nil
}

// FailureGroup are jobs that failed for good in the same way.
type FailureGroup struct {
	Fingerprint     string // what their errors have in common: Filter.Fingerprints takes it
	Kind, Queue     string
	Jobs            int64
	FirstAt, LastAt time.Time
	LastJobID       int64
	Error           string // of the last one
	// Exact is false where there are more failures than were looked at.
	Exact bool
}

// FailureFilter chooses failures.
type FailureFilter struct {
	Queues, Kinds []string
	// Since and Until are times of the failure: from Since on, before Until.
	Since, Until time.Time
	// Jobs is what else the jobs must fit. Its Limit and LookAt are not looked at.
	Jobs   Filter
	Limit  int // of groups: 100 by default
	LookAt int // how many failures to look at, the newest: 10,000 by default
}

// Failures returns the dead letters, together by fingerprint, kind and queue; most jobs first.
func (c *Client) Failures(ctx context.Context, db DB, f FailureFilter) ([]FailureGroup, error) {
	document, err := f.Jobs.document()
	if err != nil {
		return nil, err
	}
	rows, err := db.Query(ctx, c.from("fingerprint, kind, queue, jobs, first_at, last_at, last_job_id, coalesce(error, ''), exact",
		"list_failures($1, $2, $3, $4, $5, $6, $7::jsonb)"), f.Queues, f.Kinds, given(f.Since), first(f.Limit, 100), first(f.LookAt, 10_000), given(f.Until), document)
	if err != nil {
		return nil, wrapFilter("list failures", err)
	}
	groups, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g FailureGroup, err error) {
		err = row.Scan(&g.Fingerprint, &g.Kind, &g.Queue, &g.Jobs, &g.FirstAt, &g.LastAt, &g.LastJobID, &g.Error, &g.Exact)
		return g, err
	})
	return groups, wrapFilter("list failures", err)
}

// Fingerprint returns what an error has in common with others that differ only in numbers, ids, addresses and quoted words.
func (c *Client) Fingerprint(ctx context.Context, db DB, message string) (string, error) {
	var fingerprint string
	err := db.QueryRow(ctx, c.from("*", "error_fingerprint($1)"), Printable(message)).Scan(&fingerprint)
	return fingerprint, wrap("read the fingerprint", err)
}

// QueueWork is what there is still to do in a queue, each counted up to 10,000.
type QueueWork struct {
	Ready, Due, Later, Waiting, Running int64 // due and later: scheduled, their time has come or not
	Paused                              bool
}

// QueueWork returns what there is still to do in a queue; zeros for one that does not exist.
func (c *Client) QueueWork(ctx context.Context, db DB, queue string) (QueueWork, error) {
	var w QueueWork
	err := db.QueryRow(ctx, c.from("ready, due, later, waiting, running, paused", "queue_work($1)"), queue).
		Scan(&w.Ready, &w.Due, &w.Later, &w.Waiting, &w.Running, &w.Paused)
	return w, wrap("read the work of the queue", err)
}

// LastID returns the highest id of a job; 0 when there is none. As Filter.Before, one more bounds a change to jobs that exist.
func (c *Client) LastID(ctx context.Context, db DB) (int64, error) {
	ids, _, err := c.Select(ctx, db, Filter{}, 1, true)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return ids[0], nil
}
