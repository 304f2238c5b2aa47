package pgq

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Job is an attempt of a job as its handler sees it.
type Job[T any] struct {
	*Attempt
	// Args are what was enqueued.
	Args T
}

// Attempt is a job that a worker has claimed: what was asked, and the lease on it.
type Attempt struct {
	ID    int64
	Queue string
	Kind  string
	// Priority is 0 (soonest) to 9.
	Priority int
	// Number counts the attempts: 1 for the first. It is part of the lease: whoever finishes the attempt
	// must name it.
	Number int
	// MaxAttempts is how often the job is tried.
	MaxAttempts int
	// Timeout is how long the attempt may take; 0 without limit.
	Timeout   time.Duration
	CreatedAt time.Time
	Tags      []string
	Metadata  json.RawMessage
	// DAGID is the DAG of which the job is a node, 0 for others; see package dagsql.
	DAGID int64
	// Sequence is the sequence that the job belongs to, if any; see Options.Sequence.
	Sequence string
	// WorkerID is the worker that holds the lease.
	WorkerID int64
	// Seq is the place in the queue from which it was claimed.
	Seq int64

	args      encoded
	client    *Client
	db        DB
	completed atomic.Bool
	steps     struct {
		mu   sync.Mutex
		kept map[string]kept // nil: not read yet
		used map[string]bool // in this attempt
	}
}

// DecodeArgs reads the args into a value.
func (a *Attempt) DecodeArgs(into any) error {
	if err := a.client.decode(a.args, a.Kind, into); err != nil {
		return fmt.Errorf("pgq: args of job %d: %w", a.ID, err)
	}
	return nil
}

// Complete completes the job in a transaction of the handler's own: the job is completed exactly if the handler's
// effects in that transaction are committed. The handler then commits and returns nil. Result may be nil.
// ErrLeaseLost: the attempt is no longer this worker's; roll back.
func (a *Attempt) Complete(ctx context.Context, tx DB, result any) error {
	completion, err := a.NewCompletion(result)
	if err != nil {
		return err
	}
	done, err := a.client.Complete(ctx, tx, a.WorkerID, []Completion{completion})
	if err != nil {
		return err
	}
	if len(done) == 0 {
		return ErrLeaseLost
	}
	a.completed.Store(true)
	return nil
}

// CompletedByHandler reports whether the handler has called Complete; whether it committed is another question.
func (a *Attempt) CompletedByHandler() bool { return a.completed.Load() }

// Progress says how far the job is, for others to read while it runs: done of total, in any unit; total 0
// means unknown. ErrLeaseLost: the attempt is no longer this worker's. It writes a row each time it is
// called: call it a few times per second at the most.
func (a *Attempt) Progress(ctx context.Context, done, total int64) error {
	var held bool
	err := a.db.QueryRow(ctx, a.client.from("*", "report_progress($1, $2, $3, $4, $5)"),
		a.WorkerID, a.ID, a.Number, done, total).Scan(&held)
	if err == nil && !held {
		return ErrLeaseLost
	}
	return wrap("report progress", err)
}

// NewCompletion returns the completion of the attempt with a result; nil is no result.
func (a *Attempt) NewCompletion(result any) (Completion, error) {
	completion := Completion{JobID: a.ID, Attempt: a.Number}
	if result == nil {
		return completion, nil
	}
	output, err := a.encodeOutput(result)
	completion.output = output
	return completion, err
}
