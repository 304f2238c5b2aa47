package pgq

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// State is where a job is: the table that holds it.
type State string

// The states of a job; the last five are terminal.
const (
	Waiting   State = "waiting"   // waits for other jobs
	Scheduled State = "scheduled" // waits for a time
	Ready     State = "ready"     // may be claimed
	Running   State = "running"   // a worker holds it
	Completed State = "completed"
	Failed    State = "failed" // no attempts left, or failed for good: the dead letters
	Cancelled State = "cancelled"
	Skipped   State = "skipped"
	Expired   State = "expired" // not started within its time to live
)

// Finished reports whether the state is terminal.
func (s State) Finished() bool {
	return s == Completed || s == Failed || s == Cancelled || s == Skipped || s == Expired
}

// JobInfo is all that is known of a job at one instant. Nil means not given, or not yet.
type JobInfo struct {
	ID                int64
	Queue             string
	Kind              string
	Priority          int
	State             State
	Attempt           int // attempts so far, the running one included
	MaxAttempts       *int
	CreatedAt         time.Time
	RunAt             *time.Time // when a scheduled job becomes ready
	ClaimedAt         *time.Time
	FinishedAt        *time.Time
	WorkerID          *int64
	CancelRequestedAt *time.Time
	ExpiresAt         *time.Time
	Timeout           *time.Duration
	Backoff           json.RawMessage // its own, if it has one
	ResultTTL         *time.Duration
	Tags              []string
	Metadata          json.RawMessage
	Error             *string
	Args              json.RawMessage // nil when a codec wrote them
	Codec             *string
	Payload           []byte          // the args in place of Args, as the codec wrote them
	Output            json.RawMessage // the result, nil when a codec wrote it
	Done, Total       *int64          // progress
	DAGID             *int64          // the DAG of which the job is a node
	Name              *string         // the node's name
	Sequence          *string         // the sequence in which it runs
	OnFailure         *OnFailure      // what becomes of that if it fails; nil: it stops
	Group             *string         // whose limits and turns it shares

	output encoded
	client *Client
}

const infoColumns = `id, queue, kind, priority, state, attempt, max_attempts, created_at, run_at, claimed_at, finished_at,
	worker_id, cancel_requested_at, expires_at, timeout, tags, metadata, error, args, codec, payload,
	output, output_codec, output_payload, progress_done, progress_total, dag_id, name, backoff, result_ttl,
	sequence, on_failure, group_name`

func (c *Client) scanInfo(row pgx.CollectableRow) (*JobInfo, error) {
	j := &JobInfo{client: c}
	var metadata, args, backoff []byte
	err := row.Scan(&j.ID, &j.Queue, &j.Kind, &j.Priority, &j.State, &j.Attempt, &j.MaxAttempts, &j.CreatedAt, &j.RunAt,
		&j.ClaimedAt, &j.FinishedAt, &j.WorkerID, &j.CancelRequestedAt, &j.ExpiresAt, &j.Timeout, &j.Tags, &metadata,
		&j.Error, &args, &j.Codec, &j.Payload, (*[]byte)(&j.output.json), &j.output.codec, &j.output.payload, &j.Done, &j.Total,
		&j.DAGID, &j.Name, &backoff, &j.ResultTTL, &j.Sequence, &j.OnFailure, &j.Group)
	j.Backoff = backoff
	j.Metadata, j.Args, j.Output = metadata, args, j.output.json
	return j, err
}

// OutputCodec returns the name of the codec that wrote the result; empty for JSON.
func (j *JobInfo) OutputCodec() string {
	if j.output.codec == nil {
		return ""
	}
	return *j.output.codec
}

// DecodeArgs reads the args into a value.
func (j *JobInfo) DecodeArgs(into any) error {
	if err := j.client.decode(encoded{json: j.Args, codec: j.Codec, payload: j.Payload}, j.Kind, into); err != nil {
		return fmt.Errorf("pgq: args of job %d: %w", j.ID, err)
	}
	return nil
}

// OutputPayload returns the result as its codec wrote it; nil for JSON.
func (j *JobInfo) OutputPayload() []byte { return j.output.payload }

// DecodeOutput reads the result into a value. ErrNotCompleted: the job has none.
func (j *JobInfo) DecodeOutput(into any) error {
	if j.State != Completed {
		return fmt.Errorf("%w: job %d is %s", ErrNotCompleted, j.ID, j.State)
	}
	kind := j.Kind
	if j.WorkerID == nil { // of a DAG, whose result another kind may have written
		kind = ""
	}
	if err := j.client.decode(j.output, kind, into); err != nil {
		return fmt.Errorf("pgq: result of job %d: %w", j.ID, err)
	}
	return nil
}

// Get returns a job. ErrNotFound: there is none with this id (any more).
func (c *Client) Get(ctx context.Context, db DB, id int64) (*JobInfo, error) {
	jobs, err := c.infos(ctx, db, []int64{id})
	if err == nil && len(jobs) == 0 {
		err = fmt.Errorf("%w: job %d", ErrNotFound, id)
	}
	if err != nil {
		return nil, err
	}
	return jobs[0], nil
}

// infos returns the jobs with these ids that exist, newest first.
func (c *Client) infos(ctx context.Context, db DB, ids []int64) ([]*JobInfo, error) {
	rows, err := db.Query(ctx, c.from(infoColumns, "get_jobs($1)"), ids)
	if err != nil {
		return nil, wrap("read jobs", err)
	}
	jobs, err := pgx.CollectRows(rows, c.scanInfo)
	return jobs, wrap("read jobs", err)
}

// Count is how many jobs of a queue are in a state.
type Count struct {
	Queue string
	State State
	Jobs  int64
	// Exact is false for an estimate: large numbers are not counted but taken from a sample of the table.
	Exact bool
}

// Counts returns how many jobs each queue has in each state; states without jobs are left out. Up to 10,000 jobs
// are counted, more are estimated, so that it stays fast at any size.
func (c *Client) Counts(ctx context.Context, db DB) ([]Count, error) {
	rows, err := db.Query(ctx, c.from("queue, state, jobs, exact", "counts()")+" order by queue, state")
	if err != nil {
		return nil, wrap("count jobs", err)
	}
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Count])
	return counts, wrap("count jobs", err)
}

// Worker is a registered worker process.
type Worker struct {
	ID          int64
	Name        string
	Queues      []string
	Kinds       []string
	StartedAt   time.Time
	HeartbeatAt time.Time
	DeadAt      *time.Time
}

// Workers returns the registered worker processes.
func (c *Client) Workers(ctx context.Context, db DB) ([]Worker, error) {
	rows, err := db.Query(ctx, "select id, name, queues, kinds, started_at, heartbeat_at, dead_at from "+c.schema+".worker_states order by id")
	if err != nil {
		return nil, wrap("read the workers", err)
	}
	workers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Worker])
	return workers, wrap("read the workers", err)
}

// Violation is a broken invariant.
type Violation struct {
	Rule   string
	JobID  *int64
	Detail *string
}

// Check returns every broken invariant of the schema; none when all is well. It reads whole tables.
func (c *Client) Check(ctx context.Context, db DB) ([]Violation, error) {
	rows, err := db.Query(ctx, c.from("rule, job_id, detail", "check_invariants()"))
	if err != nil {
		return nil, wrap("check", err)
	}
	violations, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Violation])
	return violations, wrap("check", err)
}

// LogLine is what a handler logged.
type LogLine struct {
	ID      int64
	Attempt int
	At      time.Time
	Level   string
	Message string
	Attrs   json.RawMessage
}

// Logs returns what the handlers of a job logged, also while it runs: lines with an id above after, oldest first,
// at most 1,000.
func (c *Client) Logs(ctx context.Context, db DB, jobID, after int64) ([]LogLine, error) {
	rows, err := db.Query(ctx, c.from("id, attempt, at, level, message, attrs", "job_logs($1, $2)"), jobID, after)
	if err != nil {
		return nil, wrap("read logs", err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l LogLine, err error) {
		var attrs []byte
		err = row.Scan(&l.ID, &l.Attempt, &l.At, &l.Level, &l.Message, &attrs)
		l.Attrs = attrs
		return l, err
	})
	return lines, wrap("read logs", err)
}

// AddLog is one line for [Client.AddLogs].
type AddLog struct {
	AttemptID
	At      time.Time
	Level   string
	Message string
	Attrs   json.RawMessage
}

// AddLogs keeps log lines with their jobs. Messages are cut at 20,000 characters. *ArgumentError for a level that has not 1 to 40 characters.
func (c *Client) AddLogs(ctx context.Context, db DB, lines []AddLog) error {
	n := len(lines)
	ids, attempts, times := make([]int64, n), make([]int32, n), make([]time.Time, n)
	levels, messages, attrs := make([]string, n), make([]string, n), make([]json.RawMessage, n)
	for i, l := range lines {
		ids[i], attempts[i], times[i] = l.JobID, int32(l.Attempt), l.At
		levels[i], messages[i], attrs[i] = l.Level, Printable(l.Message), l.Attrs
	}
	_, err := db.Exec(ctx, c.from("*", "add_logs($1, $2, $3, $4, $5, $6)"), ids, attempts, times, levels, messages, attrs)
	return wrap("add logs", err)
}
