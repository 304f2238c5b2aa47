package pgq

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// The verbs of the worker protocol. Package worker calls them; so may anybody who writes a worker.

// Registration says what a worker process is.
type Registration struct {
	// Name is for humans: host and process. 1 to 200 characters.
	Name   string
	Queues []string
	Kinds  []string
	// Lease is after how long without a heartbeat the worker is declared dead; 1 s to 1 day.
	Lease time.Duration
}

// Register registers a worker process and returns its id. *ArgumentError for a field that breaks a rule.
func (c *Client) Register(ctx context.Context, db DB, r Registration) (id int64, err error) {
	err = db.QueryRow(ctx, c.from("*", "register_worker($1, $2, $3, $4)"), r.Name, r.Queues, r.Kinds, r.Lease).Scan(&id)
	return id, wrap("register the worker", err)
}

// Retire takes a worker off the register; what it still holds is run again by others.
func (c *Client) Retire(ctx context.Context, db DB, workerID int64) error {
	_, err := db.Exec(ctx, c.from("*", "retire_worker($1)"), workerID)
	return wrap("retire the worker", err)
}

// AttemptID names an attempt of a job.
type AttemptID struct {
	JobID   int64
	Attempt int
}

// Heartbeat says that the worker lives, and returns those of its attempts that shall be cancelled.
// ErrWorkerGone: it was declared dead, and all its leases are lost.
func (c *Client) Heartbeat(ctx context.Context, db DB, workerID int64) ([]AttemptID, error) {
	rows, err := db.Query(ctx, c.from("job_id, attempt", "heartbeat($1)"), workerID)
	if err != nil {
		return nil, wrap("heartbeat", err)
	}
	cancelled, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AttemptID])
	return cancelled, wrap("heartbeat", err)
}

// ClaimRequest says what a worker wants.
type ClaimRequest struct {
	WorkerID int64
	// Queues to claim from, and how many jobs of each at the most.
	Queues []string
	Limits []int32
	// Kinds that the worker knows; nil for any.
	Kinds []string
	// After holds ten seqs per queue, one per priority 0 to 9, behind which to look; nil: from the start.
	After []int64
}

// Completion says that an attempt succeeded; [Attempt.NewCompletion] makes one.
type Completion struct {
	JobID   int64
	Attempt int
	output  encoded
}

// BatchDB is a DB that can pipeline: *pgxpool.Pool, *pgx.Conn, pgx.Tx.
type BatchDB interface {
	DB
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// Claim leases jobs to a worker, in the order in which they are to be run. ErrWorkerGone as in Heartbeat.
func (c *Client) Claim(ctx context.Context, db DB, r ClaimRequest) ([]*Attempt, error) {
	rows, err := db.Query(ctx, c.claimSQL(), r.WorkerID, r.Queues, r.Limits, r.Kinds, r.After)
	if err != nil {
		return nil, wrap("claim", err)
	}
	return c.collect(rows, db, r.WorkerID)
}

// Complete completes attempts that the worker holds and returns the ids of the jobs; one that is missing was
// not held any more and is not changed.
func (c *Client) Complete(ctx context.Context, db DB, workerID int64, done []Completion) ([]int64, error) {
	rows, err := db.Query(ctx, c.completeSQL(), completeArgs(workerID, done)...)
	if err != nil {
		return nil, wrap("complete", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return ids, wrap("complete", err)
}

// CompleteAndClaim does both in one round trip and one transaction.
func (c *Client) CompleteAndClaim(ctx context.Context, db BatchDB, done []Completion, r ClaimRequest) ([]int64, []*Attempt, error) {
	batch := &pgx.Batch{}
	batch.Queue(c.completeSQL(), completeArgs(r.WorkerID, done)...)
	batch.Queue(c.claimSQL(), r.WorkerID, r.Queues, r.Limits, r.Kinds, r.After)
	results := db.SendBatch(ctx, batch)
	ids, claimed, err := c.readBatch(results, db, r.WorkerID)
	if closeErr := results.Close(); err == nil {
		err = wrap("complete and claim", closeErr)
	}
	if err != nil {
		return nil, nil, err
	}
	return ids, claimed, nil
}

func (c *Client) readBatch(results pgx.BatchResults, db DB, workerID int64) ([]int64, []*Attempt, error) {
	rows, err := results.Query()
	if err != nil {
		return nil, nil, wrap("complete", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, nil, wrap("complete", err)
	}
	if rows, err = results.Query(); err != nil {
		return nil, nil, wrap("claim", err)
	}
	claimed, err := c.collect(rows, db, workerID)
	return ids, claimed, err
}

func (c *Client) completeSQL() string { return c.from("*", "complete($1, $2, $3, $4, $5, $6)") }

// completeArgs returns the arguments of complete; arrays that would hold nothing but nulls are null.
func completeArgs(workerID int64, done []Completion) []any {
	ids, attempts := make([]int64, len(done)), make([]int32, len(done))
	var outputs []json.RawMessage
	var codecs []*string
	var payloads [][]byte
	for i, d := range done {
		ids[i], attempts[i] = d.JobID, int32(d.Attempt)
		if d.output.json != nil {
			if outputs == nil {
				outputs = make([]json.RawMessage, len(done))
			}
			outputs[i] = d.output.json
		}
		if d.output.codec != nil {
			if codecs == nil {
				codecs, payloads = make([]*string, len(done)), make([][]byte, len(done))
			}
			codecs[i], payloads[i] = d.output.codec, d.output.payload
		}
	}
	return []any{workerID, ids, attempts, outputs, codecs, payloads}
}

func (c *Client) claimSQL() string { return c.from(claimColumns, "claim($1, $2, $3, $4, $5)") }

// Failure says that an attempt failed.
type Failure struct {
	JobID   int64
	Attempt int
	// Error is kept with the job; NUL and invalid UTF-8 are replaced, and it is cut at 20,000 characters.
	Error string
	// Stack goes to the events.
	Stack string
	// Permanent: the job has failed, whatever attempts are left.
	Permanent bool
	// Delay until the next attempt; nil: as the backoff says.
	Delay *time.Duration
}

// Outcome is what a verb did with a job: where it is now, or why nothing was done.
type Outcome struct {
	JobID int64
	// Outcome is one of the words that the verb's documentation lists.
	Outcome string
}

// Fail says that attempts failed. Outcomes: ready or scheduled (it will run again), failed, cancelled (that was
// asked for meanwhile). A job that is missing was not held any more.
func (c *Client) Fail(ctx context.Context, db DB, workerID int64, failures []Failure) ([]Outcome, error) {
	n := len(failures)
	ids, attempts, errors := make([]int64, n), make([]int32, n), make([]string, n)
	delays, retryable, details := make([]*time.Duration, n), make([]bool, n), make([]json.RawMessage, n)
	for i, f := range failures {
		ids[i], attempts[i], errors[i] = f.JobID, int32(f.Attempt), Printable(f.Error)
		delays[i], retryable[i] = f.Delay, !f.Permanent
		if f.Stack != "" {
			details[i], _ = json.Marshal(map[string]string{"stack": Printable(f.Stack)})
		}
	}
	return c.outcomes(ctx, db, "fail", "fail($1, $2, $3, $4, $5, $6, $7)", workerID, ids, attempts, errors, delays, retryable, details)
}

// GiveUp ends an attempt as cancelled, with the reason as its error. Outcomes as of Fail.
func (c *Client) GiveUp(ctx context.Context, db DB, workerID int64, attempt AttemptID, reason string) ([]Outcome, error) {
	return c.outcomes(ctx, db, "give up", "give_up($1, $2, $3, $4)", workerID,
		[]int64{attempt.JobID}, []int32{int32(attempt.Attempt)}, []string{Printable(reason)})
}

// Snooze puts a job off until later; the attempt does not count. Outcomes as of Fail.
func (c *Client) Snooze(ctx context.Context, db DB, workerID int64, attempt AttemptID, delay time.Duration) ([]Outcome, error) {
	return c.outcomes(ctx, db, "snooze", "snooze($1, $2, $3, $4)", workerID,
		[]int64{attempt.JobID}, []int32{int32(attempt.Attempt)}, []time.Duration{delay})
}

// Release gives jobs back; the attempts do not count. Outcomes as of Fail.
func (c *Client) Release(ctx context.Context, db DB, workerID int64, held []AttemptID) ([]Outcome, error) {
	ids, attempts := make([]int64, len(held)), make([]int32, len(held))
	for i, a := range held {
		ids[i], attempts[i] = a.JobID, int32(a.Attempt)
	}
	return c.outcomes(ctx, db, "release", "release($1, $2, $3)", workerID, ids, attempts)
}

// DoChores does what has to be done now and then by any worker: promote what is due, expire, rescue, prune.
// It returns after how long to call it again.
func (c *Client) DoChores(ctx context.Context, db DB) (time.Duration, error) {
	var next int64
	err := db.QueryRow(ctx, c.from("*", "do_chores()")).Scan(&next)
	return time.Duration(next) * time.Millisecond, wrap("do chores", err)
}

// outcomes calls a verb that returns job_id and outcome.
func (c *Client) outcomes(ctx context.Context, db DB, verb, call string, args ...any) ([]Outcome, error) {
	rows, err := db.Query(ctx, c.from("job_id, outcome", call), args...)
	if err != nil {
		return nil, wrap(verb, err)
	}
	outcomes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Outcome])
	return outcomes, wrap(verb, err)
}

// Disown gives back all jobs that are leased to a worker but those it says it holds, which it must do after a
// claim whose answer was lost, and while it does not claim. Outcomes as of Fail.
func (c *Client) Disown(ctx context.Context, db DB, workerID int64, held []int64) ([]Outcome, error) {
	if held == nil {
		held = []int64{}
	}
	return c.outcomes(ctx, db, "disown", "disown($1, $2)", workerID, held)
}

// UnknownKind is a kind of jobs that wait in a queue and that no living worker of the queue knows.
type UnknownKind struct{ Queue, Kind string }

// UnknownKinds returns such kinds at the heads of queues.
func (c *Client) UnknownKinds(ctx context.Context, db DB, queues []string) ([]UnknownKind, error) {
	rows, err := db.Query(ctx, c.from("queue, kind", "unknown_kinds($1)"), queues)
	if err != nil {
		return nil, wrap("look for unknown kinds", err)
	}
	unknown, err := pgx.CollectRows(rows, pgx.RowToStructByPos[UnknownKind])
	return unknown, wrap("look for unknown kinds", err)
}

// SleepGate returns the keys of the advisory locks that a worker holds, shared, on its LISTEN connection while it
// sleeps on a queue: enqueuers send NOTIFY only while somebody holds them.
func (c *Client) SleepGate(ctx context.Context, db DB, queue string) (keys []int64, err error) {
	err = db.QueryRow(ctx, c.from("*", "sleep_gate($1)"), queue).Scan(&keys)
	return keys, wrap("read the sleep gate", err)
}
