package pgq

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// OnFailure is what becomes of a sequence when a job of it fails for good. Jobs that are cancelled or expire do not hold up their sequence.
type OnFailure string

const (
	// StopSequence lets the jobs behind the failed one wait until that is retried and completes, is deleted, or the
	// sequence is resumed without it ([Client.ResumeSequence]).
	StopSequence OnFailure = "stop"
	// SkipSequence ends the jobs that were enqueued behind the failed one so far as skipped.
	SkipSequence OnFailure = "skip"
	// ContinueSequence lets the next one run.
	ContinueSequence OnFailure = "continue"
)

const maxSequenceLength = 500

// checkSequence returns the first rule that a job breaks with what it says of its sequence, as *ArgumentError; the rules stand in
// sequence_problem.sql, too.
func (j *newJob) checkSequence() error {
	fail := func(field, rule string) error { return &ArgumentError{Field: field, Rule: rule} }
	if j.onFailure != nil {
		switch OnFailure(*j.onFailure) {
		case StopSequence, SkipSequence, ContinueSequence:
		default:
			return fail("on_failure", "must be stop, skip or continue")
		}
	}
	switch {
	case j.sequence == nil && j.onFailure != nil:
		return fail("on_failure", "must not be given without a sequence")
	case j.sequence == nil:
		return nil
	case !utf8.ValidString(*j.sequence) || containsNUL(*j.sequence):
		return fail("sequence", "must be valid UTF-8 without NUL")
	case utf8.RuneCountInString(*j.sequence) > maxSequenceLength:
		return fail("sequence", "must have 1 to 500 characters")
	case j.unique != nil && !j.unique.copies():
		return fail("sequence", "must not be given together with a unique key that replaces, debounces or throttles")
	}
	return nil
}

// takeSequences lets those jobs of a bulk into their sequences that are in some.
func (b *bulk) takeSequences(ctx context.Context) error {
	if !b.traits.sequences {
		return nil
	}
	keys := make([]*string, len(b.jobs))
	for i := range b.jobs {
		if !b.barred(i) {
			keys[i] = b.jobs[i].sequence
		}
	}
	var heads []int64
	if err := b.tx.QueryRow(ctx, b.client.from("*", "take_sequences($1, $2)"), keys, b.ids).Scan(&heads); err != nil {
		return wrap("enqueue", err)
	}
	b.heads = make(map[int64]bool, len(heads))
	for _, id := range heads {
		b.heads[id] = true
	}
	return nil
}

// inLine reports whether a job waits for others of its sequence.
func (b *bulk) inLine(i int) bool {
	return b.jobs[i].sequence != nil && !b.heads[b.ids[i]]
}

// timeInLine returns what a job in line keeps of when it may run; nil for now.
func (b *bulk) timeInLine(i int) any {
	due := b.due(i)
	if due == nil || !b.inLine(i) {
		return nil
	}
	return map[string]any{"run_at": due}
}

func (b *bulk) copyWaiting(ctx context.Context) error {
	if b.heads == nil {
		return nil
	}
	columns := []string{"job_id", "queue", "pending", "need_ok", "need_failed", "max_failed", "max_skipped", "sequence"}
	return b.copy(ctx, "waiting", columns, len(b.jobs), func(i int) []any {
		if !b.inLine(i) || b.barred(i) {
			return nil
		}
		return []any{b.ids[i], b.jobs[i].queue, 1, 0, 0, 0, 0, b.jobs[i].sequence}
	})
}

// What a sequence is doing.
const (
	SequenceActive      = "active"
	SequenceStopped     = "stopped"      // its head failed
	SequenceSkipping    = "skipping"     // jobs behind a failed one are being skipped
	SequenceHandingOver = "handing over" // its head has ended, and the next one is looked for
)

// SequenceState is a sequence with unfinished jobs.
type SequenceState struct {
	Key string
	// State: active, stopped, skipping, handing over.
	State string
	// JobID is its head: the job that may run, or has stopped it. Kind, Queue, JobState and Error are of that job.
	JobID                        *int64
	Kind, Queue, JobState, Error *string
	StoppedAt                    *time.Time
	// CauseID is the failed job for which others are being skipped.
	CauseID *int64
	// Waiting is how many jobs are in line, counted up to 10,000; Exact is false where there are more.
	Waiting int64
	Exact   bool
}

const sequenceColumns = "key, state, job_id, kind, queue, job_state, error, stopped_at, cause_id, waiting, exact"

// Sequences returns sequences with unfinished jobs in the order of their keys, at most n: those after the given key; of one state, or of all ("").
//
// *ArgumentError: there is no such state, or n is not 1 to 10,000.
func (c *Client) Sequences(ctx context.Context, db DB, state, after string, n int) ([]SequenceState, error) {
	rows, err := db.Query(ctx, c.from(sequenceColumns, "list_sequences(nullif($1, ''), $2, $3)"), state, after, n)
	if err != nil {
		return nil, wrap("list the sequences", err)
	}
	sequences, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SequenceState])
	return sequences, wrap("list the sequences", err)
}

// Sequence returns the sequence with this key. ErrNotFound: it has no unfinished jobs.
func (c *Client) Sequence(ctx context.Context, db DB, key string) (SequenceState, error) {
	rows, err := db.Query(ctx, c.from(sequenceColumns, "sequence_states where key = $1"), key)
	if err != nil {
		return SequenceState{}, wrap("read the sequence", err)
	}
	sequence, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[SequenceState])
	if errors.Is(err, pgx.ErrNoRows) {
		return SequenceState{}, fmt.Errorf("%w: there is no sequence %q with unfinished jobs", ErrNotFound, key)
	}
	return sequence, wrap("read the sequence", err)
}

// SequenceLine returns the jobs of a sequence that have not ended in the order in which they run, at most n: its head, also
// one that has stopped it, then those in line. after: only those behind this job; 0 for all.
func (c *Client) SequenceLine(ctx context.Context, db DB, key string, after int64, n int) ([]*JobInfo, error) {
	rows, err := db.Query(ctx, c.from(infoColumns, "sequence_line($1, $2, $3)"), key, after, n)
	if err != nil {
		return nil, wrap("read the line of the sequence", err)
	}
	jobs, err := pgx.CollectRows(rows, c.scanInfo)
	return jobs, wrap("read the line of the sequence", err)
}

// ResumeSequence lets a sequence go on that a failed job has stopped, without that job; it returns the job that is next, nil when none
// waits. A sequence that is not stopped is left as it is. To go on with the failed job, [Client.Retry] it.
//
// ErrNotFound: it has no unfinished jobs.
func (c *Client) ResumeSequence(ctx context.Context, db DB, key string) (*int64, error) {
	var head *int64
	err := db.QueryRow(ctx, c.from("*", "resume_sequence($1)"), key).Scan(&head)
	return head, wrap("resume the sequence", err)
}
